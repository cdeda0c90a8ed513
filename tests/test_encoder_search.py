"""The search among encoders: chosen on validation data, within its budget, and all that was tried is written down."""

import pytest
import torch

from umemma import parameters
from umemma.data.batch import Batch
from umemma.errors import ParameterError, TrainingError
from umemma.training import encoder_search, unimodal_fit
from umemma.training.settings import Compute, Pretrain

PRETRAIN = Pretrain(batch_size="auto", lr=0.004, weight_decay=0.01, label_smoothing=0.0, class_balance=0.0)
COMPUTE = Compute(device="cpu", precision="float32", threads=None)
BLIND = {"name": "tcn", "width": 1, "dim": 1, "depth": 1, "dropout": 0.9}
SEEING = {"name": "statistics", "dim": 4}


@pytest.fixture(scope="module")
def data():
    """Series whose deviation tells the class; of the test split the labels are turned round."""
    generator = torch.Generator().manual_seed(0)

    def split(number: int) -> Batch:
        label = torch.arange(number) % 2
        return Batch.of({"m": torch.randn(number, 1, 20, generator=generator) * (1 + label)[:, None, None]}, label)

    test = split(40)
    return {"train": split(80), "val": split(40), "test": Batch(test.values, test.present, 1 - test.label, test.key)}


def fit(data):
    return lambda encoder: unimodal_fit.fit(data, encoder, PRETRAIN, COMPUTE, epochs=2, num_classes=2, seed=0)


@pytest.mark.parametrize("encoders", [[BLIND, SEEING], [SEEING, BLIND]])
def test_the_encoder_of_the_lowest_validation_cross_entropy_is_chosen_and_test_data_say_nothing(data, encoders):
    trained, result = encoder_search.best(encoders, data, fit(data))
    assert (result["encoder"], trained.tower.encoder.settings) == ("statistics", SEEING)
    assert result["test_accuracy"] < 0.5
    assert [entry["encoder"] for entry in result["tried"]] == encoders
    figures = {entry["encoder"]["name"]: entry["val_cross_entropy"] for entry in result["tried"]}
    assert result["val_cross_entropy"] == figures["statistics"] < figures["tcn"]
    assert result["why"] == (
        f"lowest cross-entropy on validation data: {figures['statistics']:.4f}, then tcn {figures['tcn']:.4f}"
    )


def test_a_search_is_repeated_exactly(data):
    (first, one), (second, other) = (encoder_search.best([BLIND, SEEING], data, fit(data)) for _ in range(2))
    assert one == other
    assert all(torch.equal(value, second.tower.state_dict()[name]) for name, value in first.tower.state_dict().items())


def test_an_encoder_that_diverges_loses_and_is_named(data):
    def diverges(encoder):
        if encoder == BLIND:
            raise TrainingError("m: the loss is NaN or infinite by step 3")
        return fit(data)(encoder)

    _, result = encoder_search.best([BLIND, SEEING], data, diverges)
    assert result["encoder"] == "statistics"
    assert "NaN or infinite" in result["tried"][0]["failed"]
    with pytest.raises(TrainingError, match="NaN or infinite"):
        encoder_search.best([BLIND], data, diverges)


def test_candidates_are_checked_before_anything_is_trained():
    content = parameters.YAML(typ="safe").load(parameters.FILE.read_text("utf-8"))
    modality = next(iter(content["dataset"]["modalities"].values()))
    modality["candidates"] = [{"name": "lennet"}]
    with pytest.raises(ParameterError, match=r"candidates\.0\.name.*no encoder called 'lennet'.*'lenet'"):
        parameters.check(content, "params.yaml")
    modality["candidates"] = [{"name": "torchvision:resnet18", "trainable": "head", "dim": 8, "weights": "hub"}]
    with pytest.raises(ParameterError, match=r"candidates\.0: the search trains on decoded arrays"):
        parameters.check(content, "params.yaml")
