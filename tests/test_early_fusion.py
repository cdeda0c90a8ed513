"""Properties of early fusion for every mix of maps and vectors."""

import pytest
import torch

from tests.test_late_fusion import CLASSES, POISONS, every_substitute, mixed, poisoned, predict, seen
from umemma.data.batch import Batch
from umemma.errors import ParameterError
from umemma.missingness import key_digest, patterns
from umemma.models import checkpoint
from umemma.models.early_fusion import EarlyFusion
from umemma.models.substitutes import SUBSTITUTES

LENET = {"name": "lenet", "width": 4, "dim": 5, "size_px": 8}
MLP = {"name": "mlp", "width": 8, "dim": 6}
MIXES = {  # the order of modalities is not that of the alphabet
    "maps": ({"video": (3, 8, 8), "audio": (1, 9, 6)}, LENET),
    "maps, one by one": ({"video": (3, 20, 20), "audio": (1, 9, 30)}, MLP),
    "vectors": ({"text": (4,), "motion": (2, 3)}, MLP),
    "a map and vectors": ({"video": (3, 20, 9), "motion": (7,), "text": (2, 3)}, MLP),
}
every_mix = pytest.mark.parametrize("mix", MIXES)


def made_up(mix: str) -> Batch:
    """24 samples, whose modalities differ in mean and spread."""
    generator = torch.Generator().manual_seed(1)
    values = {
        name: torch.randn(24, *shape, generator=generator) * (m + 1) + 5 * m
        for m, (name, shape) in enumerate(MIXES[mix][0].items())
    }
    return Batch(
        values,
        torch.ones(24, len(values), dtype=torch.bool),
        torch.arange(24) % 3,
        key_digest([f"k{i}" for i in range(24)]),
    )


def build(mix: str, substitute: str = "zeros") -> EarlyFusion:
    torch.manual_seed(0)
    shapes, settings = MIXES[mix]
    rows = {name: value[:20] for name, value in made_up(mix).values.items()}
    return EarlyFusion(shapes, settings, 3, substitute=substitute, rows=rows).eval()


def read(fusion: EarlyFusion, batch: Batch) -> torch.Tensor:
    """Return the encoder's input."""
    given: list[torch.Tensor] = []
    hook = fusion.body.register_forward_pre_hook(lambda _, arguments: given.append(arguments[0].detach()))
    fusion(batch)
    hook.remove()
    return given[0]


@every_mix
@every_substitute
@pytest.mark.parametrize("mode", ["train", "eval"])
def test_a_missing_modality_cannot_move_the_logits(mix, substitute, mode):
    data = made_up(mix)
    fusion = build(mix, substitute).train(mode == "train")
    with torch.no_grad():
        for batch in [seen(data, pattern) for pattern in patterns(len(data.modalities))[1:]] + [mixed(data)]:
            clean = predict(fusion, batch)
            assert clean.shape == (24, 3)
            assert clean.isfinite().all()
            for poison in POISONS:
                assert torch.equal(predict(fusion, poisoned(batch, poison)), clean)


@every_mix
@every_substitute
def test_a_missing_modality_has_no_gradient_and_a_present_one_has(mix, substitute):
    data = mixed(made_up(mix))
    values = {name: value.clone().requires_grad_() for name, value in poisoned(data, float("nan")).values.items()}
    fusion = build(mix, substitute).train()
    torch.nn.functional.cross_entropy(fusion(data.with_values(values)), data.label).backward()
    for m, value in enumerate(values.values()):
        assert not value.grad[~data.present[:, m]].any()
        assert value.grad[data.present[:, m]].any()
    assert all(p.grad.isfinite().all() for p in fusion.parameters() if p.requires_grad)


@every_mix
@every_substitute
def test_a_model_that_was_saved_answers_the_same(mix, substitute, tmp_path):
    data, fusion = made_up(mix), build(mix, substitute)
    checkpoint.save(fusion, tmp_path / "model", classes=CLASSES)
    again = checkpoint.load(tmp_path / "model")
    assert again.facts() == fusion.facts()
    for batch in [seen(data, pattern) for pattern in patterns(len(data.modalities))] + [mixed(data)]:
        assert torch.equal(again(batch), fusion(batch))


@every_mix
def test_that_a_modality_is_missing_is_told_apart_from_a_value_equal_to_its_stand_in(mix):
    fusion, data = build(mix, "zeros"), made_up(mix)
    name = data.modalities[0]
    average = data.with_values({**data.values, name: fusion.scale[name][0].expand_as(data.values[name])})
    missing = seen(average, (False,) + (True,) * (len(data.modalities) - 1))
    num_modalities = len(data.modalities)
    with_it, without = (
        read(fusion, batch).flatten(2) if fusion.are_maps else read(fusion, batch) for batch in (average, missing)
    )
    assert torch.equal(with_it[:, :-num_modalities], without[:, :-num_modalities])
    assert (with_it[:, -num_modalities] == 1).all()
    assert (without[:, -num_modalities] == 0).all()
    assert not torch.equal(fusion(average), fusion(missing))


@pytest.mark.parametrize("substitute", SUBSTITUTES)
def test_the_encoder_reads_the_stand_in_that_was_asked_for(substitute):
    fusion, data = build("vectors", substitute), made_up("vectors")
    stand_in = read(fusion, seen(data, (False, True)))[:, :4]
    rows = data.values["text"][:20]
    rows = (rows - rows.mean(dim=0)) / rows.std(dim=0, correction=0)
    if substitute in ("none", "zeros"):
        assert not stand_in.any()
    elif substitute in ("train_mean", "learned"):
        torch.testing.assert_close(stand_in, rows.mean(dim=0).expand(24, -1))
    elif substitute == "donor":
        assert torch.cdist(stand_in, rows).min(dim=1).values.max() < 1e-5
        assert len(stand_in.unique(dim=0)) > 5
    else:
        assert substitute == "noise"
        assert len(stand_in.unique(dim=0)) == 24
        assert ((stand_in - rows.mean(dim=0)) / rows.std(dim=0)).abs().max() < 5


@every_mix
@every_substitute
def test_a_sample_is_answered_the_same_whatever_else_is_in_its_batch(mix, substitute):
    fusion, batch = build(mix, substitute), mixed(made_up(mix))
    some = torch.tensor([17, 3, 0, 8])
    torch.testing.assert_close(fusion(batch.rows(some)), fusion(batch)[some])


@pytest.mark.parametrize(("substitute", "trained"), [(name, 2 * (name == "learned")) for name in SUBSTITUTES])
def test_only_the_learned_substitute_is_trained(substitute, trained):
    fusion = build("vectors", substitute)
    assert sum(p.requires_grad for p in fusion.source.parameters()) == trained
    assert not any(p.requires_grad for p in fusion.scale.parameters())


def test_every_modality_is_read(media):
    for mix in MIXES:
        fusion, data = build(mix), made_up(mix)
        for name in data.modalities:
            other = data.with_values({**data.values, name: data.values[name].flip(0)})
            assert not torch.equal(fusion(other), fusion(data)), (mix, name)


def test_a_setting_that_the_encoder_does_not_have_is_named():
    with pytest.raises(ParameterError, match="wdith"):
        EarlyFusion({"text": (4,)}, {"name": "mlp", "wdith": 8}, 3, substitute="none", rows={"text": torch.randn(9, 4)})


def test_an_encoder_that_wants_decoded_values_as_they_are_is_refused():
    with pytest.raises(ParameterError, match=r"dataset\.early: text_cnn takes decoded values as they are"):
        EarlyFusion({"text": (4,)}, {"name": "text_cnn"}, 3, substitute="none", rows={"text": torch.randn(9, 4)})
