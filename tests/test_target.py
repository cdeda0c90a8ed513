"""Accuracy under another law of holes, from data whose holes depend on the label, against exact values."""

import numpy as np
import pytest

from tests.enumerated_world import NUM_MODALITIES, World, X, Y, Z, by_chance, draw, mechanism
from tests.exact_models import FLAGS
from umemma.evaluation import target
from umemma.evaluation.target import Data, at_rate

WORLD = World()
BY_LABEL = mechanism(WORLD.p, [(Y == 2) * 1.0] * NUM_MODALITIES, [0.4] * NUM_MODALITIES, 1.5)
BY_NIGHT = mechanism(WORLD.p, [Z * 1.0] * NUM_MODALITIES, [0.4] * NUM_MODALITIES, 1.5)


def data(table, count, seed, stratum):
    cell, has = draw(np.random.default_rng(seed), WORLD.p, table, count)
    right = {flags: WORLD.right[number, cell] for number, flags in enumerate(FLAGS)}
    present = np.array(FLAGS)[has]
    return Data(present, stratum[cell], np.arange(count), right)


def exact(rate):
    """Return the accuracy if each modality is missing by chance."""
    return WORLD.accuracy(WORLD.p, by_chance(WORLD.p, [rate] * NUM_MODALITIES))


@pytest.mark.parametrize("rate", [0.3, 0.6])
@pytest.mark.parametrize(("table", "stratum"), [(BY_LABEL, Y), (BY_NIGHT, Z)], ids=["label", "covariate"])
def test_weighting_by_what_decides_is_right_on_average_and_taking_all_holders_alike_is_not(table, stratum, rate):
    found = [target.expected(data(table, 2_000, seed, stratum), at_rate(rate, FLAGS), 2.0) for seed in range(40)]
    values, naive = np.array([one.value for one in found]), np.array([one.naive for one in found])
    error = values.std(ddof=1) / len(found) ** 0.5
    assert abs(values.mean() - exact(rate)) < 3 * error + 1e-3
    assert naive.mean() - exact(rate) > 3 * naive.std(ddof=1) / len(found) ** 0.5
    inside = [one.low <= exact(rate) <= one.high for one in found]
    assert np.mean(inside) > 0.95 - 3 * (0.95 * 0.05 / len(found)) ** 0.5


@pytest.mark.parametrize("seed", range(20))
def test_weights_are_never_negative_and_make_up_the_target(seed):
    rng = np.random.default_rng(seed)
    had = rng.dirichlet(np.full(8, 0.7))
    wanted = at_rate(rng.uniform(0.05, 0.9), FLAGS)
    holds = np.array([[all(not r or o for r, o in zip(shown, own, strict=True)) for shown in FLAGS] for own in FLAGS])
    weights = target.least_variance(had, holds, np.array(list(wanted.values())))
    assert (weights >= 0).all()
    assert (weights[~holds] == 0).all()
    np.testing.assert_allclose(had @ weights, list(wanted.values()), atol=1e-4)


def test_bounds_hold_the_truth_where_a_value_hides_itself_and_weighting_cannot():
    """x2 is missing mostly where it is 0. By label alone this is not seen; odds of 4 are as far as they move."""
    hidden = mechanism(WORLD.p, [0.0 * X[0], (X[1] == 0) * 1.0, 0.0 * X[0]], [0.001, 0.4, 0.001], 1.5)
    asked = {flags: float(flags == (False, True, False)) for flags in FLAGS}
    truth = float(WORLD.p @ WORLD.right[FLAGS.index((False, True, False))])
    one = target.expected(data(hidden, 20_000, 0, Y), asked, 4.0)
    assert one.high < truth
    assert one.bounds[0] < truth < one.bounds[1]
    assert one.bounds[1] - one.bounds[0] < 0.5
    same = target.expected(data(hidden, 20_000, 0, Y), asked, 1.0)
    assert same.bounds == pytest.approx((same.value, same.value), abs=2e-3)


def test_without_samples_that_have_a_pattern_there_is_no_number_but_a_reason():
    never = np.stack([0 * WORLD.p + (number == 1) for number in range(8)])  # x1 alone, always
    one = target.expected(data(never, 500, 0, Y), at_rate(0.3, FLAGS), 2.0)
    assert (one.naive, one.value, one.bounds) == (None, None, None)
    assert one.why == "too few samples that have all of it stand for a pattern: 0 of equal weight"


def test_where_a_class_never_has_a_pattern_there_is_no_number():
    away = (Y == 2) * 1.0
    table = np.stack([*[0 * away] * 6, away, 1 - away])  # x1 is never there for class 2
    one = target.expected(data(table, 2_000, 0, Y), at_rate(0.3, FLAGS), 2.0)
    assert one.value is None
    assert "of the target lies where almost no sample has what it shows" in one.why
    assert one.naive is not None


@pytest.mark.slow
@pytest.mark.parametrize(("count", "given"), [(200, 45), (500, 190), (2_000, 200)])
def test_intervals_cover_at_their_level_and_few_samples_get_no_number(count, given):
    """Over 200 draws; at 200 samples too few have everything, and most draws are refused."""
    for rate in (0.3, 0.6):
        found = [target.expected(data(BY_LABEL, count, seed, Y), at_rate(rate, FLAGS), 2.0) for seed in range(200)]
        known = [one for one in found if one.value is not None]
        assert len(known) == given
        covered = np.mean([one.low <= exact(rate) <= one.high for one in known])
        assert abs(covered - 0.95) <= 3 * (0.95 * 0.05 / len(known)) ** 0.5


@pytest.mark.slow
def test_cannot_know_is_right_where_values_hide_themselves():
    """Over 60 random laws of self-hiding whose odds move by at most 3: weighting misses, bounds hold nearly always."""
    missed, held = [], []
    asked = {flags: float(flags == (False, True, False)) for flags in FLAGS}
    for seed in range(60):
        rng = np.random.default_rng(seed)
        world = World.random(rng)
        slope = rng.uniform(0.5, np.log(3))
        table = mechanism(world.p, [0.0 * Y, (X[1] == rng.integers(4)) * 1.0, 0.0 * Y], [0.001, 0.4, 0.001], slope)
        cell, has = draw(rng, world.p, table, 20_000)
        right = {flags: world.right[number, cell] for number, flags in enumerate(FLAGS)}
        one = target.expected(Data(np.array(FLAGS)[has], Y[cell], np.arange(len(cell)), right), asked, 3.0)
        truth = float(world.p @ world.right[FLAGS.index((False, True, False))])
        missed.append(not one.low <= truth <= one.high)
        held.append(one.bounds[0] <= truth <= one.bounds[1])
    assert np.mean(missed) > 0.3
    assert np.mean(held) > 0.95
