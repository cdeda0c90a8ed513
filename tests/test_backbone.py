"""Which parts of a backbone are trained, and at which learning rates."""

import pytest
import torch
from torch import nn

from umemma.models.backbone import Backbone
from umemma.models.tuning import Tuning


def backbone(trainable="full", dim=4, weights="a.pth", lr_scale=1.0, lr_decay=1.0, projection_dropout=0.0):
    """Three blocks of one layer with batch statistics and dropout, and an embedding outside the blocks."""
    torch.manual_seed(0)

    class Trunk(nn.Module):
        def __init__(self):
            super().__init__()
            self.offset = nn.Parameter(torch.randn(6))
            self.layers = nn.ModuleList(
                nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6), nn.Dropout(0.5)) for _ in range(3)
            )

        def forward(self, value):
            value = value + self.offset
            for layer in self.layers:
                value = layer(value)
            return value

    trunk = Trunk()
    return Backbone(
        trunk,
        [[layer] for layer in trunk.layers],
        6,
        Tuning(weights, trainable, dim, lr_scale, lr_decay, projection_dropout),
        scaling="none",
    )


def test_learning_rates_fall_block_by_block_towards_the_input():
    encoder = backbone(lr_scale=0.5, lr_decay=0.1)
    names = {id(parameter): name for name, parameter in encoder.named_parameters()}
    factor = {names[id(parameter)]: value for group, value in encoder.lr_factors() for parameter in group}
    assert factor.keys() == dict(encoder.named_parameters()).keys()
    assert factor["projection.0.weight"] == 1
    assert factor["trunk.layers.2.0.weight"] == pytest.approx(0.5)
    assert factor["trunk.layers.1.1.bias"] == pytest.approx(0.05)
    assert factor["trunk.layers.0.0.weight"] == factor["trunk.offset"] == pytest.approx(0.005)


@pytest.mark.parametrize(
    ("trainable", "open_blocks"), [("frozen", 0), ("head", 0), ("last_1", 1), ("last_2", 2), ("last_3", 3), ("full", 3)]
)
def test_only_what_is_trained_has_gradients_factors_and_training_mode(trainable, open_blocks):
    encoder = backbone(trainable, None if trainable == "frozen" else 4)
    encoder.eval().train()
    assert [layer[1].training for layer in encoder.trunk.layers] == [n >= 3 - open_blocks for n in range(3)]
    wants = {name for name, parameter in encoder.named_parameters() if parameter.requires_grad}
    listed = {id(parameter) for group, _ in encoder.lr_factors() for parameter in group}
    assert {id(dict(encoder.named_parameters())[name]) for name in wants} == listed
    assert ("trunk.offset" in wants) == (open_blocks == 3)
    assert not any(module.training for module in encoder.eval().modules())


def test_features_are_the_same_a_few_rows_at_a_time():
    encoder = backbone().eval()
    value = torch.randn(150, 6)
    with torch.no_grad():
        torch.testing.assert_close(encoder.features(value), encoder.trunk(value))
        assert torch.equal(encoder(value), encoder.projection(encoder.features(value)))


def test_a_gradient_reaches_the_input_through_a_frozen_trunk():
    value = torch.randn(3, 6, requires_grad=True)
    backbone("head")(value).sum().backward()
    assert value.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"trainable": "last_4"}, "no choice called 'last_4'; there are frozen, full, head, last_1, last_2, last_3"),
        ({"trainable": "last_0"}, "no choice called 'last_0'"),
        ({"trainable": None}, "no choice called None"),
        ({"trainable": "frozen"}, "frozen trains nothing, but dim 4 asks for a projection"),
        ({"trainable": "head", "dim": None}, "trains the projection, but dim is null"),
        ({"trainable": "last_1", "weights": None}, "they would stay random"),
        ({"dim": 0}, "dim is the number of features"),
        ({"projection_dropout": 1.0}, "dropout is at least 0 and below 1"),
        ({"lr_decay": 1.5}, "lr_decay above 0 and at most 1"),
        ({"lr_scale": 0.0}, "lr_scale must be above 0"),
    ],
)
def test_settings_that_contradict_each_other_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        backbone(**settings)
