"""Bounds and Shapley values of modalities against exact enumeration of discrete distributions and of permutations."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from umemma.evaluation import information
from umemma.missingness import patterns, probability


@st.composite
def joints(draw):
    """Return p(label, x), (class, x), with classes of any share and some zeros."""
    shape = draw(st.tuples(st.integers(2, 5), st.integers(1, 5)))
    cells = draw(
        st.lists(
            st.sampled_from([0.0, 1e-6, 0.1, 1.0, 3.0, 50.0]) | st.floats(0, 1),
            min_size=math.prod(shape),
            max_size=math.prod(shape),
        )
    )
    p = np.array(cells).reshape(shape) + draw(st.sampled_from([1e-12, 1e-3, 1.0]))
    return p / p.sum()


@given(joints())
def test_the_best_rule_lies_between_floor_and_ceiling(p):
    residual = torch.tensor(stats.entropy(p.ravel()) - stats.entropy(p.sum(axis=0)), dtype=torch.float64)
    best = p.max(axis=0).sum()
    floor = information.feder_merhav_floor(residual, len(p)).item()
    assert floor >= 1 - residual.item() / math.log(4) - 1e-9  # Hellman & Raviv 1970
    assert floor - 1e-9 <= best <= information.fano_ceiling(residual, len(p)).item() + 1e-6


@pytest.mark.parametrize("num_classes", [2, 3, 10])
def test_the_ceiling_solves_fanos_equation(num_classes):
    for residual in np.linspace(0.01, math.log(num_classes) - 0.01, 7):

        def excess(error, residual=residual):
            return stats.entropy([error, 1 - error]) + error * math.log(num_classes - 1) - residual

        root = optimize.brentq(excess, 1e-12, 1 - 1 / num_classes)
        ceiling = information.fano_ceiling(torch.tensor([residual]), num_classes).item()
        assert ceiling == pytest.approx(1 - root, abs=1e-6)


def test_ceiling_and_floor_at_the_ends():
    residual = torch.tensor([0.0, math.log(4), 100.0, float("nan")], dtype=torch.float64)
    assert information.fano_ceiling(residual, 4).tolist()[:3] == pytest.approx([1, 0.25, 0.25])
    assert information.fano_ceiling(residual, 4)[3].isnan()
    assert information.feder_merhav_floor(residual, 4).tolist()[:3] == pytest.approx([1, 0.25, 0.25])
    assert information.feder_merhav_floor(residual, 4)[3].isnan()


@pytest.mark.parametrize("num_classes", [2, 3, 10])
def test_the_floor_is_tight(num_classes):
    """The worst law that the residual allows: a mixture of guesses among k and among k + 1 classes."""
    for k in range(1, num_classes):
        for share in (0.0, 0.3, 1.0):
            residual = torch.tensor((1 - share) * math.log(k) + share * math.log(k + 1), dtype=torch.float64)
            accuracy = (1 - share) / k + share / (k + 1)
            assert information.feder_merhav_floor(residual, num_classes).item() == pytest.approx(accuracy)


def test_the_floor_promises_more_than_that_of_hellman_and_raviv():
    residual = torch.tensor(1.125, dtype=torch.float64)
    assert information.feder_merhav_floor(residual, 10).item() == pytest.approx(0.326, abs=5e-4)
    assert 1 - residual.item() / math.log(4) == pytest.approx(0.188, abs=5e-4)


def test_entropy_is_that_of_scipy():
    counts = torch.tensor([[3.0, 0.0, 5.0], [1.0, 1.0, 1.0]])
    assert information.entropy(counts).tolist() == pytest.approx(stats.entropy(counts.numpy(), axis=1).tolist())


@pytest.mark.parametrize("times", [1, 5])
def test_the_corrected_entropy_is_right_on_average_whatever_recurs(times):
    """Each draw stands `times` for itself, as the pieces of one recording do; uncorrected it would be 0.04 too low."""
    share, rng = np.array([0.4, 0.3, 0.15, 0.1, 0.05]), np.random.default_rng(0)
    plug_in, corrected = [], []
    for _ in range(2000):
        drawn = torch.from_numpy(times * np.eye(5)[rng.choice(5, 50, p=share)])
        plug_in.append(information.entropy(drawn.sum(dim=0)).item())
        corrected.append(plug_in[-1] + information.entropy_deficit(drawn).item())
    assert np.mean(plug_in) == pytest.approx(stats.entropy(share) - 4 / 100, abs=0.01)
    assert np.mean(corrected) == pytest.approx(stats.entropy(share), abs=0.006)


def test_of_independent_samples_the_correction_is_that_of_miller_and_madow():
    drawn = torch.eye(3, dtype=torch.float64).repeat(40, 1)
    assert information.entropy_deficit(drawn).item() == pytest.approx(2 / (2 * 119))
    assert information.entropy_deficit(drawn[:1]).item() == 0


@pytest.fixture(params=[1, 2, 3, 5])
def game(request):
    """Return v(S) of shape (4,) for every non-empty set, drawn independently, so not monotone."""
    generator = torch.Generator().manual_seed(request.param)
    return {pattern: torch.randn(4, generator=generator, dtype=torch.float64) for pattern in patterns(request.param)}


def size(game):
    return len(next(iter(game)))


def value(game, names):
    zero = torch.zeros(4, dtype=torch.float64)
    return game[tuple(m in names for m in range(size(game)))] if names else zero


def random_rates(num_modalities, count=6):
    return torch.rand(count, num_modalities, generator=torch.Generator().manual_seed(9), dtype=torch.float64)


def test_expected_information_is_the_sum_over_patterns(game):
    rates = random_rates(size(game))
    for rate, total in zip(rates, information.expected_information(game, rates), strict=True):
        torch.testing.assert_close(total, sum(probability(pattern, rate.tolist()) * v for pattern, v in game.items()))


def test_the_empty_set_may_be_given_too(game):
    rates = random_rates(size(game))
    complete = game | {(False,) * size(game): torch.zeros(4, dtype=torch.float64)}
    torch.testing.assert_close(
        information.expected_information(complete, rates), information.expected_information(game, rates)
    )


def test_the_price_is_the_slope_of_expected_information(game):
    rates, step = 0.1 + 0.8 * random_rates(size(game)), 0.05
    for m in range(size(game)):
        aside = torch.zeros(size(game), dtype=torch.float64)
        aside[m] = step
        slope = (
            information.expected_information(game, rates + aside)
            - information.expected_information(game, rates - aside)
        ) / (2 * step)
        torch.testing.assert_close(information.price(game, m, rates), -slope)


def test_shapley_is_the_mean_gain_over_orders_of_arrival(game):
    orders = list(itertools.permutations(range(size(game))))
    for m in range(size(game)):
        gains = [value(game, order[: order.index(m) + 1]) - value(game, order[: order.index(m)]) for order in orders]
        torch.testing.assert_close(information.shapley(game, m), torch.stack(gains).mean(0))


def test_shapley_values_sum_to_all_there_is(game):
    total = sum(information.shapley(game, m) for m in range(size(game)))
    torch.testing.assert_close(total, value(game, range(size(game))))


def test_shapley_is_the_mean_price_along_equal_rates(game):
    nodes, weights = np.polynomial.legendre.leggauss(5)  # exact for the price's degree, at most 4
    along = torch.from_numpy((nodes + 1) / 2)[:, None].repeat(1, size(game))
    for m in range(size(game)):
        mean = (torch.from_numpy(weights / 2)[:, None] * information.price(game, m, along)).sum(0)
        torch.testing.assert_close(information.shapley(game, m), mean)


def test_lost_for_good_is_the_price_with_everything_else_there(game):
    for m in range(size(game)):
        lost = information.lost_for_good(game, m)
        others = [modality for modality in range(size(game)) if modality != m]
        torch.testing.assert_close(lost, value(game, range(size(game))) - value(game, others))
        nothing_missing = torch.zeros(1, size(game), dtype=torch.float64)
        torch.testing.assert_close(information.price(game, m, nothing_missing)[0], lost)


def test_an_unknown_set_leaves_undefined_only_what_depends_on_it():
    game = {pattern: torch.ones(4, dtype=torch.float64) for pattern in patterns(2) if pattern != (False, True)}
    nowhere, half = torch.zeros(1, 2, dtype=torch.float64), torch.full((1, 2), 0.5, dtype=torch.float64)
    assert information.expected_information(game, half).isnan().all()
    assert information.shapley(game, 0).isnan().all()
    assert information.lost_for_good(game, 0).isnan().all()
    assert (information.lost_for_good(game, 1) == 0).all()
    assert (information.price(game, 1, nowhere) == 0).all()
