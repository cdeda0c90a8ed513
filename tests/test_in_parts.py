"""Predictions in parts: the same bytes as those of the whole, from processes that are given no more than their rows."""

import pickle

import pytest
import torch

from tests.conftest import CPU
from tests.test_blocks import PRIOR, of_kind
from umemma.data.batch import Batch
from umemma.launchers import local_launcher
from umemma.missingness import key_digest
from umemma.prediction import in_parts
from umemma.prediction.predict import features_of, predict


def cpu():
    return CPU


@pytest.fixture
def many(media):
    """A hundred samples with holes, some with nothing."""
    index = torch.arange(100) % 24
    present = torch.randint(0, 2, (100, 2), generator=torch.Generator().manual_seed(2)).bool()
    key = key_digest([f"s{number}" for number in range(100)])
    return Batch({name: value[index] for name, value in media.values.items()}, present, media.label[index], key)


@pytest.mark.parametrize("kind", ["concat/donor/feature", "concat/noise/input", "each concat/none/feature", "early"])
@pytest.mark.parametrize("of_features", [False, True])
def test_parts_have_the_bytes_of_the_whole(kind, of_features, towers, media, many, monkeypatch):
    monkeypatch.setattr(in_parts, "ROWS", 33)
    torch.manual_seed(1)
    model = of_kind(kind, towers, media).eval()
    features = features_of(model, many, CPU) if of_features else None
    given = {"group": torch.arange(100) // 3, "features": features}
    expected = predict(model, many, PRIOR, device=CPU, **given)
    found = in_parts.predict(model, many, PRIOR, set_up=cpu, launcher=local_launcher.Launcher(2), **given)
    assert found.logits.keys() == expected.logits.keys()
    assert all(torch.equal(found.logits[pattern], logits) for pattern, logits in expected.logits.items())
    for name in ("present", "label", "group", "key"):
        assert torch.equal(getattr(found, name), getattr(expected, name))


def test_a_part_takes_its_own_rows_with_it_and_no_others(many):
    large = many.with_values({"m": torch.zeros(100, 10_000)})
    rows = slice(10, 20)
    part = in_parts.Part(large.rows(rows), torch.arange(100)[rows], {"m": large.values["m"][rows]})
    content = pickle.dumps(part)
    assert len(content) < 2 * 10 * 10_000 * 4 + 10_000
    again = pickle.loads(content)
    assert torch.equal(again.data.key, many.key[rows])
    assert again.group.tolist() == list(range(10, 20))
