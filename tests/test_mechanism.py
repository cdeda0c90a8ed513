"""Mechanisms: the rate asked for, dependence on what the name says and on nothing else, whatever the order of samples."""

import pytest
import torch

from umemma.data.batch import Batch
from umemma.data.mechanism import MECHANISMS, Mechanism
from umemma.errors import ParameterError
from umemma.missingness import hide_by_chance, key_digest
from umemma.training.hiding import Hiding, Plan

NUM = 20_000
RATES = (0.3, 0.5, 0.7)
each = pytest.mark.parametrize("name", MECHANISMS)


@pytest.fixture(scope="module")
def data():
    """Three modalities that know nothing of each other or of the class; `a` is always there."""
    generator = torch.Generator().manual_seed(0)
    values = {
        "a": torch.randn(NUM, 4, generator=generator),
        "b": torch.randn(NUM, 2, 3, 3, generator=generator) + 5,
        "c": torch.randint(0, 50, (NUM, 6), generator=generator),
    }
    present = torch.rand(NUM, 3, generator=generator) > torch.tensor([0.0, 0.1, 0.1])
    label = torch.randint(0, 4, (NUM,), generator=generator)
    return Batch(values, present, label, key_digest([f"sample {i}" for i in range(NUM)]))


def hidden(name, data, slope=2.0, seed=0):
    """Return (sample, modality) bool: is it hidden? Before samples left with nothing are drawn again."""
    chance = Mechanism.fit(name, data, RATES, slope).chances(data)
    keeps_all = torch.ones(NUM, 4, dtype=torch.bool)  # a fourth that is never hidden, so that nothing is drawn again
    never = torch.zeros(NUM, 1, dtype=torch.float64)
    return ~hide_by_chance(keeps_all, data.key, torch.cat([chance, never], dim=1), seed=seed)[:, :3]


@each
def test_each_modality_is_hidden_at_the_rate_asked_for(name, data):
    away = hidden(name, data)
    for m, rate in enumerate(RATES):
        asked = 0.0 if name == "mar" and m == 0 else rate
        assert away[data.present[:, m], m].double().mean().item() == pytest.approx(asked, abs=0.012)


@each
def test_what_hides_a_modality_is_what_the_name_says(name, data):
    """Mean differences between hidden and shown, in standard deviations, of the anchor, the value itself and the class."""
    away, has = hidden(name, data), data.present
    scores = {
        "mar": data.values["a"].double().mean(dim=1)[:, None].expand(-1, 3),
        "mnar": torch.stack([value.flatten(1).double().mean(dim=1) for value in data.values.values()], dim=1),
        "by_class": data.label.double()[:, None].expand(-1, 3),
    }
    for what, score in scores.items():
        for m in (1, 2):
            part, gone = score[has[:, m], m], away[has[:, m], m]
            moved = (part[gone].mean() - part[~gone].mean()) / part.std()
            assert (moved > 0.5) == (what == name), (what, m, moved)


@each
def test_a_slope_of_zero_is_missing_completely_at_random(name, data):
    chance = Mechanism.fit(name, data, RATES, 0.0).chances(data)
    asked = torch.tensor([0.0 if name == "mar" else RATES[0], *RATES[1:]], dtype=torch.float64)
    torch.testing.assert_close(chance, asked.expand(NUM, -1))


@each
def test_the_same_sample_loses_the_same_in_any_company(name, data):
    order = torch.randperm(NUM, generator=torch.Generator().manual_seed(1))[:500]
    hiding = Hiding(Plan(name, RATES, 3, slope=1.0), {"train": data})
    whole = hiding.left(data.present, data.key, epoch=2)
    assert torch.equal(hiding.left(data.present[order], data.key[order], epoch=2), whole[order])
    assert whole.any(dim=1).equal(data.present.any(dim=1))
    assert not torch.equal(hiding.left(data.present, data.key, epoch=3), whole)


@each
def test_a_value_that_is_not_there_decides_nothing(name, data):
    gone = data.present[:, 1].logical_not().nonzero().squeeze(1)
    other = data.values["b"].clone()
    other[gone] = torch.nan
    changed = data.with_values({**data.values, "b": other})
    mechanism = Mechanism.fit(name, data, RATES, 2.0)
    before, after = mechanism.chances(data), mechanism.chances(changed)
    assert torch.equal(before[data.present], after[data.present])
    assert torch.equal(Mechanism.fit(name, changed, RATES, 2.0).intercept, mechanism.intercept)


def test_mar_needs_a_modality_that_every_training_sample_has(data):
    holed = data.with_present(data.present & (torch.arange(NUM)[:, None] % 50 > 0))
    with pytest.raises(ParameterError, match="`mar` lets presence depend on a modality that every training sample has"):
        Mechanism.fit("mar", holed, RATES, 2.0)


@each
def test_shares_of_patterns_are_those_of_what_is_drawn(name, data):
    hiding = Hiding(Plan(name, RATES, 0, slope=2.0), {"train": data})
    everything = torch.ones_like(data.present)
    drawn = hiding.left(everything, data.key, epoch=0)
    shares = hiding.pattern_shares(data)
    assert sum(shares.values()) == pytest.approx(1)
    for pattern, share in shares.items():
        realised = (drawn == torch.tensor(pattern)).all(dim=1).double().mean().item()
        assert realised == pytest.approx(share, abs=4 * (0.25 / NUM) ** 0.5)


def test_rates_of_zero_and_one_hide_nothing_and_all(data):
    chance = Mechanism.fit("mnar", data, (0.0, 1.0, 0.5), 2.0).chances(data)
    assert (chance[:, 0] == 0).all()
    assert (chance[:, 1] == 1).all()
