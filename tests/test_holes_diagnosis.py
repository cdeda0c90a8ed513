"""What holes depend on: found where it is so, false alarms at their level, power as foretold."""

import numpy as np
import pytest
from scipy import stats

from tests.enumerated_world import NUM_MODALITIES, World, X, Y, by_chance, mechanism
from tests.exact_models import bayes, drawn, model
from umemma.evaluation.holes import diagnosed, differs, elsewhere, least_information

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


def test_data_whose_holes_depend_on_more_than_the_label_get_bounds_and_no_number():
    run = model("run", BAYES, drawn(WORLD, LAWS["seen"], 4_000, 0))
    (row,) = elsewhere(run, [0.3], diagnosed(run))
    assert row["accuracy"]["value"] is None
    assert row["why"].startswith("holes of x2")
    right = (BAYES.argmax(axis=2) == Y) * 1.0
    truth = float((WORLD.p * by_chance(WORLD.p, [0.3] * 3) * right).sum())
    assert row["bounds"][0] < truth < row["bounds"][1]
    by_label = model("run", BAYES, drawn(WORLD, LAWS["label"], 4_000, 0))
    (row,) = elsewhere(by_label, [0.3], diagnosed(by_label))
    found = row["accuracy"]
    assert abs(found["value"] - truth) < 3 / 1.96 * (found["high"] - found["low"]) / 2  # three standard errors
    assert row["naive"] > found["value"]


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
