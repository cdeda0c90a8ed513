"""Predictions: every sample under every pattern, and the file that stores them."""

import pytest
import torch

from tests.conftest import CPU
from umemma.data.batch import Batch
from umemma.errors import DataError
from umemma.missingness import patterns
from umemma.models import late_fusion
from umemma.prediction import predictions
from umemma.prediction.predict import predict
from umemma.prediction.predictions import Predictions

PRIOR = torch.tensor([0.5, 0.3, 0.2]).log()


@pytest.fixture
def holed(media) -> Batch:
    """The first four samples lack the image, the next three the audio."""
    present = media.present.clone()
    present[:4, 0], present[4:7, 1] = False, False
    return media.with_present(present)


@pytest.fixture
def model(towers) -> late_fusion.LateFusion:
    rows = {name: torch.randn(24, 5, generator=torch.Generator().manual_seed(3)) for name in towers}
    return late_fusion.build(
        towers, head="concat", substitute="donor", substitute_at="feature", log_prior=PRIOR, rows=rows
    )


def predictions_of(model, data: Batch, **more) -> Predictions:
    return predict(model, data, PRIOR, group=data.label + 10, device=CPU, **more)


def test_a_pattern_is_answered_as_the_model_answers_samples_that_have_no_more(model, holed):
    predicted = predictions_of(model, holed)
    assert set(predicted.logits) == {*patterns(2), (False, False)}
    model.eval()
    for pattern in patterns(2):
        left = holed.present & torch.tensor(pattern)
        with torch.no_grad():
            whole = model(holed.with_present(left))
        has = left.any(dim=1)
        torch.testing.assert_close(predicted.logits[pattern][has], whole[has], rtol=1e-4, atol=1e-4)


def test_where_nothing_is_left_the_prior_answers(model, holed):
    predicted = predictions_of(model, holed)
    torch.testing.assert_close(predicted.logits[False, False], PRIOR.expand(24, -1))
    torch.testing.assert_close(predicted.logits[True, False][:4], PRIOR.expand(4, -1))
    torch.testing.assert_close(predicted.logits[False, True][4:7], PRIOR.expand(3, -1))


def test_given_features_are_taken_in_place_of_the_media(model, holed):
    model.eval()
    with torch.no_grad():
        features = {name: value.clone() for name, value in model.encode(holed).items()}
    blank = holed.with_values({name: torch.zeros_like(value) for name, value in holed.values.items()})
    predicted, given = predictions_of(model, holed), predictions_of(model, blank, features=features)
    for pattern, value in predicted.logits.items():
        torch.testing.assert_close(given.logits[pattern], value, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("was_training", [True, False])
def test_asking_moves_nothing_in_the_model_and_keeps_its_mode(model, holed, was_training):
    model.train(was_training)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    first, again = predictions_of(model, holed), predictions_of(model, holed)
    assert model.training == was_training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(torch.equal(first.logits[pattern], again.logits[pattern]) for pattern in first.logits)


def test_a_pattern_that_no_sample_has_in_full_is_not_listed(model, holed):
    predicted = predictions_of(model, holed.rows(slice(0, 4)))
    assert predicted.patterns() == [(False, True)]
    assert predictions_of(model, holed).patterns() == patterns(2)
    assert predictions_of(model, holed).has((True, True)).tolist() == holed.present.all(dim=1).tolist()


def test_answers_that_were_written_are_read_the_same(model, holed, tmp_path):
    splits = {"val": predictions_of(model, holed.rows(slice(0, 10))), "test": predictions_of(model, holed)}
    predictions.write(tmp_path / "a", splits, {"arm": "frozen", "seed": 3})
    restored, facts = predictions.read(tmp_path / "a")
    assert (facts["arm"], facts["seed"], set(restored)) == ("frozen", 3, {"val", "test"})
    for split, original in splits.items():
        assert restored[split].modalities == original.modalities == ("image", "audio")
        for name in ("present", "label", "group", "key"):
            assert torch.equal(getattr(restored[split], name), getattr(original, name))
            assert getattr(restored[split], name).dtype == getattr(original, name).dtype
        assert restored[split].logits.keys() == original.logits.keys()
        assert all(
            torch.equal(restored[split].logits[pattern], original.logits[pattern]) for pattern in original.logits
        )
    predictions.write(tmp_path / "b", splits, {"arm": "frozen", "seed": 3})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_file_without_answers_is_named(tmp_path):
    with pytest.raises(DataError, match="nothing holds no weights of umemma"):
        predictions.read(tmp_path / "nothing")
