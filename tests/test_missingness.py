"""Hidden modalities: drawn from seed and key alone, according to each protocol, at the requested rate."""

import itertools
import math
from typing import get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from umemma.data.mechanism import MECHANISMS
from umemma.missingness import (
    PROTOCOLS,
    halves,
    hide,
    in_order,
    key_digest,
    outcomes,
    panel,
    pattern_name,
    patterns,
    probability,
    specialists_panel,
)
from umemma.training.settings import ProtocolName

KEYS = key_digest([f"sample-{i}" for i in range(20_000)])
RATES = {
    "independent": [
        *((0.25, 0.6), (0.0, 1.0), (1.0, 1.0)),
        *((0.25, 0.6, 0.5), (0.9, 1.0, 0.9), (1.0, 1.0, 0.0), (1.0, 1.0, 1.0)),
    ],
    "absent": [(0.0, 1.0), (0.0, 0.0, 1.0), (1.0, 0.0, 1.0)],
    "balanced": [(0.2, 0.5), (0.5, 0.5), (0.1, 0.2, 0.3), (0.4, 0.0, 0.6)],
}
CASES = [
    (protocol, rates, has) for protocol, several in RATES.items() for rates in several for has in patterns(len(rates))
]
PRESENT = torch.ones(len(KEYS), 3, dtype=torch.bool)
each_protocol = pytest.mark.parametrize(
    ("protocol", "rates"),
    [("independent", (0.3, 0.5, 0.7)), ("absent", (0.0, 1.0, 0.0)), ("balanced", (0.3, 0.2, 0.4))],
)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=5))
def test_the_probabilities_of_all_patterns_and_the_empty_one_sum_to_one(rates):
    empty = (False,) * len(rates)
    total = sum(probability(pattern, rates) for pattern in [*patterns(len(rates)), empty])
    assert math.isclose(total, 1, abs_tol=1e-12)


@pytest.mark.parametrize("num", range(1, 13))
def test_the_panel_holds_all_sets_of_few_modalities_and_of_many_those_that_say_most(num):
    chosen = panel(num)
    assert len(set(chosen)) == len(chosen) <= 100
    assert chosen == panel(num)
    assert [sum(pattern) for pattern in chosen] == sorted((sum(pattern) for pattern in chosen), reverse=True)
    if num <= 6:
        assert chosen == patterns(num)
    for size in range(1, num + 1):
        count = sum(sum(pattern) == size for pattern in chosen)
        assert count == math.comb(num, size) if size in (1, num - 1, num) else count >= 6


def test_specialists_of_many_modalities_are_few_and_each_modality_has_one():
    assert specialists_panel(4) == patterns(4)
    chosen = specialists_panel(10)
    assert set(chosen) < set(panel(10))
    assert sorted({sum(pattern) for pattern in chosen}) == [1, 5, 9, 10]
    assert len(chosen) == 10 + 20 + 10 + 1
    assert set(halves(10)) < set(chosen)


def test_half_of_the_modalities_is_rounded_down_and_of_three_there_is_none():
    assert halves(3) == []
    assert halves(5) == [pattern for pattern in patterns(5) if sum(pattern) == 2]
    assert {sum(pattern) for pattern in halves(7)} == {3}
    assert len(halves(7)) == len(halves(10)) == 20


def test_patterns_are_all_non_empty_sets_and_the_complete_one_comes_first():
    assert patterns(3)[0] == (True, True, True)
    assert len(set(patterns(3))) == 7
    assert [pattern_name(pattern, ["image", "audio"]) for pattern in patterns(2)] == ["image+audio", "image", "audio"]


@each_protocol
def test_the_same_key_loses_the_same_modalities_in_any_order_and_company(protocol, rates):
    whole = hide(PRESENT, KEYS, rates, protocol=protocol, seed=3)
    order = torch.randperm(len(KEYS), generator=torch.Generator().manual_seed(0))[:777]
    assert torch.equal(hide(PRESENT[order], KEYS[order], rates, protocol=protocol, seed=3), whole[order])


@pytest.mark.parametrize("protocol", ["independent", "balanced"])
def test_another_seed_or_epoch_hides_others(protocol):
    rates = (0.5, 0.5)
    first = hide(PRESENT[:, :2], KEYS, rates, protocol=protocol, seed=0)
    for stream in ({"seed": 1}, {"seed": 0, "epoch": 1}):
        other = hide(PRESENT[:, :2], KEYS, rates, protocol=protocol, **stream)
        expected = sum(share**2 for share in outcomes((True, True), rates, protocol).values())
        same = (first == other).all(dim=1).double().mean().item()
        assert abs(same - expected) < 4 * math.sqrt(expected * (1 - expected) / len(KEYS))


@pytest.mark.parametrize(("protocol", "rates", "has"), CASES)
def test_every_outcome_is_as_frequent_as_its_probability_and_nothing_else_happens(protocol, rates, has):
    expected = outcomes(has, rates, protocol)
    mask = hide(torch.tensor(has).expand(len(KEYS), -1), KEYS, rates, protocol=protocol, seed=5)
    for pattern in itertools.product((True, False), repeat=len(has)):
        share = (mask == torch.tensor(pattern)).all(dim=1).double().mean().item()
        expected_share = expected.get(pattern, 0.0)
        assert (
            abs(share - expected_share)
            <= 4.5 * math.sqrt(max(0.0, expected_share * (1 - expected_share)) / len(KEYS)) + 1e-9
        )


@pytest.mark.parametrize(("protocol", "rates", "has"), CASES)
def test_outcomes_sum_to_one_and_leave_something_of_what_is_there(protocol, rates, has):
    expected = outcomes(has, rates, protocol)
    assert math.isclose(sum(expected.values()), 1)
    assert all(
        any(outcome) and all(is_present or not left for is_present, left in zip(has, outcome, strict=True))
        for outcome in expected
    )


@pytest.mark.parametrize("rates", [(0.25, 0.6), (0.25, 0.6, 0.5)])
def test_independent_outcomes_are_the_probabilities_given_that_something_is_left(rates):
    expected = {pattern: probability(pattern, rates) / (1 - math.prod(rates)) for pattern in patterns(len(rates))}
    assert outcomes((True,) * len(rates), rates, "independent") == pytest.approx(expected)


@pytest.mark.parametrize("rates", [(1.0, 1.0), (1.0, 0.3, 1.0), (1.0, 1.0, 1.0), (1.0, 0.0, 1.0, 1.0), (0.5, 1.0, 1.0)])
def test_independent_outcomes_at_rate_one_are_the_limit_of_those_just_below(rates):
    """For every pattern of a sample; the limit is enumerated from the definition, not from `outcomes`."""
    below = [min(rate, 1 - 1e-9) for rate in rates]
    for has in patterns(len(rates)):
        shown = [m for m, is_present in enumerate(has) if is_present]
        share = {
            tuple(m in left for m in range(len(has))): math.prod(1 - below[m] if m in left else below[m] for m in shown)
            for size in range(1, len(shown) + 1)
            for left in itertools.combinations(shown, size)
        }
        limit = {outcome: value / sum(share.values()) for outcome, value in share.items()}
        actual = outcomes(has, rates, "independent")
        assert actual.keys() <= limit.keys()
        assert {outcome: actual.get(outcome, 0.0) for outcome in limit} == pytest.approx(limit, abs=1e-8)


def test_absent_hides_the_same_modality_everywhere_but_where_it_is_all_there_is():
    assert outcomes((True, True, True), (0.0, 0.0, 1.0), "absent") == {(True, True, False): 1}
    assert outcomes((False, False, True), (0.0, 0.0, 1.0), "absent") == {(False, False, True): 1}


def test_balanced_takes_one_modality_of_a_complete_sample_or_none():
    assert outcomes((True, True, True), (0.1, 0.2, 0.3), "balanced") == pytest.approx(
        {(False, True, True): 0.1, (True, False, True): 0.2, (True, True, False): 0.3, (True, True, True): 0.4}
    )


@each_protocol
def test_nothing_absent_comes_back_and_no_sample_is_left_empty(protocol, rates):
    present = torch.rand(len(KEYS), 3, generator=torch.Generator().manual_seed(0)) < 0.5
    for hardest in (rates, (1.0, 1.0, 1.0)):
        mask = hide(present, KEYS, hardest, protocol=protocol, seed=0)
        assert not (mask & ~present).any()
        assert torch.equal(mask.any(dim=1), present.any(dim=1))


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_rate_zero_hides_nothing_and_rate_one_all_but_the_last(protocol, rate):
    mask = hide(torch.ones(100, 2, dtype=torch.bool), KEYS[:100], [rate, 0.0], protocol=protocol, seed=0)
    assert mask[:, 0].all() if rate == 0 else not mask[:, 0].any()
    assert mask[:, 1].all()


def test_the_protocols_are_those_that_parameters_allow_and_no_other_is_taken():
    assert {*PROTOCOLS, *MECHANISMS} == set(get_args(ProtocolName))
    for ask in (
        lambda: hide(PRESENT, KEYS, (0.5,) * 3, protocol="balancd", seed=0),
        lambda: outcomes((True,), (0.5,), "balancd"),
    ):
        with pytest.raises(KeyError, match="balancd"):
            ask()


def test_patterns_from_a_file_come_back_in_their_order():
    assert in_order([*reversed(patterns(4)), (False,) * 4]) == [*patterns(4), (False,) * 4]
