"""What holes depend on: found where it is so, false alarms at their level, power as foretold."""

import numpy as np
import pytest
import torch
from scipy import stats

from tests.enumerated_world import NUM_MODALITIES, World, X, Y, by_chance, mechanism
from tests.exact_models import bayes, drawn, model
from umemma.evaluation.holes import (
    _columns,
    _differs_by_label,
    _varies,
    diagnosed,
    differs,
    elsewhere,
    least_information,
)

WORLD = World()
BAYES = bayes(WORLD)
LAWS = {
    "nothing": by_chance(WORLD.p, [0.3, 0.4, 0.5]),
    "label": mechanism(WORLD.p, [(Y == 2) * 1.0] * NUM_MODALITIES, [0.3, 0.4, 0.5], 1.5),
    "seen": mechanism(WORLD.p, [0.0 * Y, (X[0] == 1) * 1.0, 0.0 * Y], [0.001, 0.4, 0.5], 2.0),
}


def diagnosis(law, count, seed):
    return diagnosed(model("run", BAYES, drawn(WORLD, LAWS[law], count, seed)))


def test_what_holes_depend_on_is_found():
    chance, label, seen = (diagnosis(law, 3_000, 0) for law in LAWS)
    assert all(row[question] > 0.05 for row in chance.values() for question in ("label", "seen", "seen_given_label"))
    assert all(row["label"] < 1e-6 for row in label.values())
    assert all(row["seen_given_label"] > 0.05 for row in label.values())
    assert seen["x2"]["seen_given_label"] < 1e-6
    assert chance["x1"]["group"] is None
    assert chance["x1"]["share"] == pytest.approx(0.7, abs=0.03)


def test_the_least_information_that_is_found_is_that_of_the_noncentral_chi_squared():
    least = least_information(500, 2)
    assert least == pytest.approx(9.63 / 1000, abs=1e-4)
    assert stats.ncx2.sf(stats.chi2.isf(0.05, 2), 2, 2 * 500 * least) == pytest.approx(0.8)


ALWAYS = [0.001, 0.4, 0.4]  # x1 is always there, as good as


def truth(rate):
    """Return the exact accuracy if every modality is missing by chance."""
    right = (BAYES.argmax(axis=2) == Y) * 1.0
    return float((WORLD.p * by_chance(WORLD.p, [rate] * NUM_MODALITIES) * right).sum())


def expected_elsewhere(law, seed, count=2_000):
    run = model("run", BAYES, drawn(WORLD, law, count, seed))
    return elsewhere(run, [0.3, 0.6], diagnosed(run))


def test_holes_that_depend_on_what_is_always_seen_are_weighted_by_it_and_the_label():
    """x2 and x3 are missing where x1 tells the label: taking holders alike errs, weighting by the label alone as well."""
    scores = [0.0 * Y, (X[0] == Y) * 1.0, (X[0] == Y) * 1.0]
    rows = expected_elsewhere(mechanism(WORLD.p, scores, ALWAYS, 1.5), seed=0, count=20_000)
    for row, rate in zip(rows, (0.3, 0.6), strict=True):
        assert row["given"] == ["x1"]
        found = row["accuracy"]
        error = (found["high"] - found["low"]) / 2 / 1.96
        assert abs(found["value"] - truth(rate)) < 3 * error
        assert abs(row["naive"] - truth(rate)) > 3 * error
    run = model("run", BAYES, drawn(WORLD, mechanism(WORLD.p, scores, ALWAYS, 1.5), 20_000, 0))
    (by_label, _) = elsewhere(run, [0.3, 0.6], {})
    assert truth(0.3) < by_label["accuracy"]["low"] or truth(0.3) > by_label["accuracy"]["high"]


def test_holes_that_depend_on_what_is_seen_only_sometimes_get_no_number():
    scores = [0.0 * Y, (X[0] == 1) * 1.0, 0.0 * Y]
    (row, _) = expected_elsewhere(mechanism(WORLD.p, scores, [0.2, 0.4, 0.4], 2.0), seed=0)
    assert (row["accuracy"]["value"], row["given"]) == (None, [])
    assert row["why"] == "holes of x2 depend on more than the label"


def test_holes_by_the_label_are_weighted_by_the_label_alone():
    by_label = mechanism(WORLD.p, [0.0 * Y, (Y == 2) * 1.0, (Y == 2) * 1.0], ALWAYS, 1.5)
    rows = expected_elsewhere(by_label, seed=0)
    assert [row["given"] for row in rows] == [[], []]
    for row, rate in zip(rows, (0.3, 0.6), strict=True):
        found = row["accuracy"]
        assert abs(found["value"] - truth(rate)) < 3 / 1.96 * (found["high"] - found["low"]) / 2


@pytest.mark.parametrize("count", [400, 2_000])
def test_where_what_is_seen_all_but_decides_there_are_bounds(count):
    """x2 is there only where x1 shows something else: within its bins nobody stands for those who lack it."""
    law = mechanism(WORLD.p, [0.0 * Y, (X[0] == 2) * 1.0, 0.0 * Y], [0.001, 0.4, 0.001], 12.0)
    for row in expected_elsewhere(law, 0, count):
        assert (row["accuracy"]["value"], row["given"]) == (None, [])
        assert row["why"] == "holes of x2 depend on more than the label"
        assert 0 < row["bounds"][0] < row["naive"] < row["bounds"][1] < 1


@pytest.mark.slow
def test_intervals_cover_where_what_is_always_seen_decides():
    """Over 200 draws, of which those count where the test of what is seen calls for it."""
    law = mechanism(WORLD.p, [0.0 * Y, (X[0] == Y) * 1.0, (X[0] == 2) * 1.0], ALWAYS, 1.5)
    rows = [expected_elsewhere(law, seed) for seed in range(200)]
    for number, rate in enumerate((0.3, 0.6)):
        known = [row[number]["accuracy"] for row in rows if row[number]["given"]]
        assert len(known) > 150
        covered = np.mean([one["low"] <= truth(rate) <= one["high"] for one in known])
        assert abs(covered - 0.95) <= 3 * (0.95 * 0.05 / len(known)) ** 0.5


@pytest.mark.slow
def test_the_estimate_is_right_on_average_where_what_is_always_seen_tells_the_label():
    """The second law of the table of docs/theory.md, where weights by the label alone err by 0.011; covered: 90 %."""
    law = mechanism(WORLD.p, [0.0 * Y, (X[0] == Y) * 1.0, (X[0] == Y) * 1.0], ALWAYS, 1.5)
    rows = [expected_elsewhere(law, seed) for seed in range(200)]
    for number, rate in enumerate((0.3, 0.6)):
        known = [row[number]["accuracy"] for row in rows if row[number]["given"]]
        assert len(known) > 150
        covered = np.mean([one["low"] <= truth(rate) <= one["high"] for one in known])
        assert covered >= 0.9 - 3 * (0.9 * 0.1 / len(known)) ** 0.5
        assert abs(np.mean([one["value"] for one in known]) - truth(rate)) < 0.004


def test_data_whose_holes_depend_on_more_than_the_label_get_bounds_and_no_number():
    run = model("run", BAYES, drawn(WORLD, LAWS["seen"] * 0.8 + by_chance(WORLD.p, [1, 0.4, 0.5]) * 0.2, 4_000, 0))
    (row,) = elsewhere(run, [0.3], diagnosed(run))
    assert row["accuracy"]["value"] is None
    assert row["why"].startswith("holes of x2")
    assert row["bounds"][0] < truth(0.3) < row["bounds"][1]
    by_label = model("run", BAYES, drawn(WORLD, LAWS["label"], 4_000, 0))
    (row,) = elsewhere(by_label, [0.3], diagnosed(by_label))
    found = row["accuracy"]
    assert abs(found["value"] - truth(0.3)) < 3 / 1.96 * (found["high"] - found["low"]) / 2  # three standard errors
    assert row["naive"] > found["value"]


def test_groups_of_unequal_size_raise_no_alarm():
    """Presence by chance; the law of chi-squared would see a difference in a quarter of such data."""
    cluster, alarms = np.repeat(np.arange(205), [1] * 200 + [100] * 5), 0
    for seed in range(200):
        alarms += _varies(np.random.default_rng(seed).random(700) < 0.95, cluster) < 0.05
    assert alarms / 200 <= 0.05 + 3 * (0.05 * 0.95 / 200) ** 0.5
    assert _varies(cluster >= 202, cluster) == pytest.approx(0.001)


@pytest.mark.parametrize("count", [300, 1_000])
def test_few_holes_and_ten_classes_raise_no_alarm(count):
    """30 samples lack it by chance; a class of which none does must not look like a law."""
    alarms = 0
    for seed in range(100):
        chance = np.random.default_rng(seed)
        label = torch.tensor(chance.integers(0, 10, count))
        has = np.ones(count, bool)
        has[chance.permutation(count)[:30]] = False
        alarms += _differs_by_label(has, _columns(label, 10), np.arange(count)) < 0.05
    assert alarms / 100 <= 0.05 + 3 * (0.05 * 0.95 / 100) ** 0.5


@pytest.mark.slow
@pytest.mark.parametrize("count", [200, 2_000])
def test_false_alarms_are_at_their_level(count):
    """Of 300 draws whose holes depend on nothing, at most 5 % raise any alarm after Holm's correction."""
    alarms = 0
    for seed in range(300):
        rows = diagnosis("nothing", count, seed)
        alarms += any(
            row[question] < 0.05 for row in rows.values() for question in ("label", "seen", "seen_given_label")
        )
    assert alarms / 300 <= 0.05 + 3 * (0.05 * 0.95 / 300) ** 0.5


@pytest.mark.slow
def test_power_is_as_foretold():
    """A dependence of x1 on the label of exactly the least that is foretold to be found in 80 of 100 cases, uncorrected."""
    count, found = 500, 0
    least = least_information(count, 2)

    def told(slope):
        law = mechanism(WORLD.p, [(Y == 2) * 1.0, 0.0 * Y, 0.0 * Y], [0.4, 0.001, 0.001], slope)
        with_x1 = np.arange(8) % 2 == 1
        joint = np.stack([np.bincount(Y, WORLD.p * law[rows].sum(axis=0)) for rows in (with_x1, ~with_x1)])
        return law, (joint * np.log(joint / joint.sum(axis=1, keepdims=True) / joint.sum(axis=0))).sum()

    slopes = np.linspace(0.05, 3, 60)
    law = told(slopes[np.argmin([abs(told(slope)[1] - least) for slope in slopes])])[0]
    for seed in range(300):
        run = model("run", BAYES, drawn(WORLD, law, count, seed))
        test = run.splits["test"]
        has, label = test.present[:, 0].numpy(), np.eye(3)[test.label.numpy()]
        found += differs(has, label, np.arange(count)) < 0.05
    assert found / 300 == pytest.approx(0.8, abs=0.09)
