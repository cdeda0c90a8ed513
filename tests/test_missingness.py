"""Hidden modalities: drawn from seed and key alone, at the rate that was asked for."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from umemma.missingness import hide, key_digest, pattern_name, patterns, probability

KEYS = key_digest([f"sample-{i}" for i in range(20_000)])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=5))
def test_the_probabilities_of_all_patterns_and_the_empty_one_sum_to_one(rates):
    empty = (False,) * len(rates)
    total = sum(probability(one, rates) for one in [*patterns(len(rates)), empty])
    assert math.isclose(total, 1, abs_tol=1e-12)


def test_patterns_are_all_non_empty_sets_and_the_complete_one_comes_first():
    assert patterns(3)[0] == (True, True, True)
    assert len(set(patterns(3))) == 7
    assert [pattern_name(one, ["image", "audio"]) for one in patterns(2)] == ["image+audio", "image", "audio"]


def test_the_same_key_loses_the_same_modalities_in_any_order_and_company():
    present = torch.ones(len(KEYS), 3, dtype=torch.bool)
    whole = hide(present, KEYS, [0.3, 0.5, 0.7], seed=3)
    order = torch.randperm(len(KEYS))[:777]
    assert torch.equal(hide(present[order], KEYS[order], [0.3, 0.5, 0.7], seed=3), whole[order])


def test_another_seed_or_round_hides_others():
    present = torch.ones(len(KEYS), 2, dtype=torch.bool)
    first = hide(present, KEYS, [0.5, 0.5], seed=0)
    for other in (hide(present, KEYS, [0.5, 0.5], seed=1), hide(present, KEYS, [0.5, 0.5], seed=0, round_=1)):
        assert 0.2 < (first != other).double().mean() < 0.8


def test_every_pattern_is_as_frequent_as_its_probability_given_that_something_is_left():
    rates = [0.25, 0.6, 0.5]
    kept = hide(torch.ones(len(KEYS), 3, dtype=torch.bool), KEYS, rates, seed=5)
    for pattern in patterns(3):
        expected = probability(pattern, rates) / (1 - math.prod(rates))
        share = (kept == torch.tensor(pattern)).all(dim=1).double().mean().item()
        assert abs(share - expected) < 4 * math.sqrt(expected * (1 - expected) / len(KEYS))


def test_nothing_absent_comes_back_and_no_sample_is_left_empty():
    present = torch.rand(len(KEYS), 3, generator=torch.Generator().manual_seed(0)) < 0.5
    kept = hide(present, KEYS, [0.9, 1.0, 0.9], seed=0)
    assert not (kept & ~present).any()
    assert torch.equal(kept.any(dim=1), present.any(dim=1))


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_rate_zero_hides_nothing_and_rate_one_all_but_the_last(rate):
    kept = hide(torch.ones(100, 2, dtype=torch.bool), KEYS[:100], [rate, 0.0], seed=0)
    assert kept[:, 0].all() if rate == 0 else not kept[:, 0].any()
    assert kept[:, 1].all()
