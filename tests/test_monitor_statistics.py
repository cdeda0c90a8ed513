"""What can be said of answers without labels, against a world whose truth is enumerated, and when nothing is said."""

import numpy as np
import pytest
from scipy import stats

from tests import enumerated_world, simulated_drifts
from tests.enumerated_world import Y, Z, by_chance, draw, mechanism
from umemma.evaluation.two_samples import Rows, alike, differ, n_effective, odds, ranked
from umemma.monitoring.accuracy import expected
from umemma.monitoring.drift import content, presence
from umemma.monitoring.restoring import gain
from umemma.monitoring.samples import Today
from umemma.monitoring.settings import Settings
from umemma.monitoring.transport import mean_share

SETTINGS = Settings()
WORLD = enumerated_world.World()
PAST = by_chance(WORLD.p, [0.2, 0.2, 0.2])
NOW = by_chance(WORLD.p, [0.5, 0.1, 0.4])
BY_LABEL = mechanism(WORLD.p, [(Y == 0) * 1.0] * 3, [0.5, 0.3, 0.5], 3.0)
BY_NIGHT = mechanism(WORLD.p, [Z * 1.0] * 3, [0.4] * 3, 1.5)


def asked(seed, table, *, rows=3000, samples=1000, past=PAST, given=None):
    rng = np.random.default_rng(seed)
    today = WORLD.today(*draw(rng, WORLD.p, table, rows), given=given)
    return today, WORLD.reference(*draw(rng, WORLD.p, past, samples), given=given)


def test_other_rates_confidence_corrected_by_pattern_is_the_accuracy_and_its_interval_covers_it():
    truth = WORLD.accuracy(WORLD.p, NOW)
    samples = [asked(seed, NOW) for seed in range(100)]
    found = [one.accuracy for one in (expected(*both, SETTINGS) for both in samples) if one.accuracy]
    assert len(found) >= 88  # 5 of 100 are withheld by chance
    sure = np.mean([today.answered.confidence.mean() for today, _ in samples])
    assert sure - truth > 0.015  # the model is too sure
    assert np.mean([one.value for one in found]) == pytest.approx(truth, abs=0.003)
    assert 0.87 <= np.mean([one.low <= truth <= one.high for one in found]) <= 0.99


def test_where_the_label_decides_no_number_is_given_and_the_reason_names_the_patterns():
    for seed in range(10):
        found = expected(*asked(seed, BY_LABEL), SETTINGS)
        assert found.accuracy is None
        assert len(found.differ) > 1
        assert found.bounds[0] < WORLD.accuracy(WORLD.p, BY_LABEL) < found.bounds[1]


def test_what_is_always_seen_explains_holes_that_depend_on_it():
    truth = WORLD.accuracy(WORLD.p, BY_NIGHT)
    blind = [expected(*asked(seed, BY_NIGHT, rows=20_000, samples=20_000), SETTINGS) for seed in range(2)]
    seen = [expected(*asked(seed, BY_NIGHT, rows=6000, samples=3000, given=Z), SETTINGS) for seed in range(20)]
    assert all(one.accuracy is None for one in blind)
    found = [one.accuracy.value for one in seen if one.accuracy]
    assert len(found) >= 6
    assert np.mean(found) == pytest.approx(truth, abs=0.005)


def test_a_pattern_that_too_few_samples_hold_has_no_number():
    never = by_chance(WORLD.p, [0.2, 0.2, 0.999])
    found = expected(*asked(0, NOW, past=never), SETTINGS)
    assert found.accuracy is None
    assert not found.differ
    assert set(found.unseen) == {shown for shown in found.patterns if shown[2]}
    rare = by_chance(WORLD.p, [0.2, 0.2, 0.995])
    few = expected(*asked(0, rare, past=never, rows=5000), SETTINGS)
    assert few.accuracy is not None, "of less than one row in a hundred nothing is known"
    unknown = sum(few.patterns[shown].share for shown in few.unseen)
    assert 0 < unknown < 0.01
    assert few.accuracy.high - few.accuracy.low > unknown


def test_false_alarms_are_as_rare_as_promised():
    withheld = [expected(*asked(seed, PAST, rows=600, samples=600), SETTINGS).accuracy is None for seed in range(100)]
    assert np.mean(withheld) <= 0.1


def test_what_a_modality_would_be_worth_is_of_the_rows_that_lack_it():
    truth = sum(
        WORLD.p * BY_NIGHT[r] @ (WORLD.right[r | 1] - WORLD.right[r])
        for r in range(8)
        if not enumerated_world.SHOWN[r, 0]
    )
    both = [asked(seed, BY_NIGHT, rows=2000, samples=2000, past=BY_NIGHT, given=Z) for seed in range(60)]
    found = [gain(*one, 0, SETTINGS) for one in both]
    assert np.mean([one.value for one in found]) == pytest.approx(truth, abs=0.006)
    assert np.mean([one.low <= truth <= one.high for one in found]) >= 0.85
    naive = [gain(*asked(seed, BY_NIGHT, rows=2000, samples=2000, past=BY_NIGHT), 0, SETTINGS) for seed in range(20)]
    assert truth - np.mean([one.value for one in naive]) > 0.015, "other samples than those that lack it"


def test_nothing_is_said_of_a_modality_that_samples_do_not_show():
    never = by_chance(WORLD.p, [0.999, 0.2, 0.2])
    assert gain(*asked(0, NOW, past=never), 0, SETTINGS) is None


def test_the_score_test_keeps_its_level_with_clusters_and_without():
    rng = np.random.default_rng(0)
    p = []
    for _ in range(200):
        cluster = np.arange(240) // 4
        new, old = (rng.normal(size=(60, 3))[cluster] + 0.3 * rng.normal(size=(240, 3)) for _ in range(2))
        p.append(differ(Rows(new, cluster), Rows(old, cluster)))
    assert np.mean(np.array(p) < 0.05) <= 0.1
    shifted = differ(Rows(rng.normal(size=(200, 3)) + 0.4, np.arange(200)), Rows(old, cluster))
    assert shifted < 0.001


def test_what_is_given_explains_a_difference_or_does_not():
    rng = np.random.default_rng(1)
    new, old = rng.normal(0.5, 1, (3000, 1)), rng.normal(0, 1, (3000, 1))
    alone = np.arange(3000)
    given = alike(new, old)
    follows = [one + rng.normal(size=one.shape) for one in (new, old)]
    assert differ(Rows(follows[0], alone), Rows(follows[1], alone)) < 1e-6
    assert differ(Rows(follows[0], alone), Rows(follows[1], alone), given) > 0.001
    assert differ(Rows(follows[0] + 0.5, alone), Rows(follows[1], alone), given) < 1e-6
    weight = odds(*given)
    assert np.average(old[:, 0], weights=weight) == pytest.approx(new.mean(), abs=0.05)
    assert n_effective(weight) < 3000


def test_what_the_given_determines_is_no_evidence():
    rng = np.random.default_rng(2)
    new, old = rng.choice(4, size=(500, 1), p=[0.4, 0.3, 0.2, 0.1]), rng.integers(4, size=(800, 1))
    table = np.array([[0.2, 1.0], [0.5, 0.0], [0.9, 1.0], [0.1, 0.0]])
    rows = Rows(table[new.ravel()], np.arange(500)), Rows(table[old.ravel()], np.arange(800))
    assert differ(*rows, alike(new.astype(float), old.astype(float))) == 1.0
    assert differ(*rows) < 0.01


def test_nothing_to_compare_is_no_difference():
    alone = np.arange(40)
    same = np.ones((40, 2))
    assert differ(Rows(same, alone), Rows(same, alone)) == 1.0
    one = np.zeros(40, dtype=int)
    assert differ(Rows(np.random.default_rng(0).normal(size=(40, 2)), one), Rows(same, one)) == 1.0


def test_a_sample_that_is_asked_for_again_is_no_news():
    today, reference = asked(3, NOW, rows=300)
    again = Today(
        np.repeat(today.present, 20, axis=0),
        today.answered.of(np.repeat(np.arange(300), 20)),
        np.repeat(today.cluster, 20),
        np.repeat(today.given, 20, axis=0),
    )
    once, often = (expected(one, reference, SETTINGS).accuracy for one in (today, again))
    assert often.value == pytest.approx(once.value)
    assert often.high - often.low == pytest.approx(once.high - once.low, rel=0.02)


def test_ranks_have_ties_in_their_middle_and_no_outlier_decides():
    old = np.array([[0.0], [0.0], [1.0], [2.0]])
    assert ranked(old, np.array([[0.0], [1.5], [1e9]])).ravel().tolist() == [0.25, 0.75, 1.0]


def test_presence_and_content_that_moved_are_told_with_their_size():
    rng = np.random.default_rng(0)
    alone = np.arange(500), np.arange(500)
    (stays, falls) = presence(rng.random((500, 2)) < [0.8, 0.3], rng.random((500, 2)) < [0.8, 0.8], alone)
    assert stays.p > 0.01
    assert falls.p < 1e-6
    assert falls.moved == pytest.approx(0.5, abs=0.08)
    old, new = rng.normal(size=(500, 2)), rng.normal(size=(500, 2)) - [0, 1]
    found = content(new, old, alone, ("mean", "spread"))
    assert (found.statistic, found.p < 1e-6) == ("spread", True)
    assert found.rank == pytest.approx(0.24, abs=0.05)
    assert content(new[:0], old, (alone[0][:0], alone[1]), ("mean", "spread")) is None


def test_the_interval_of_a_share_is_no_point_where_all_are_right():
    found = mean_share(np.ones(20), np.arange(20))
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(1 / (1 + stats.t.isf(0.025, 19) ** 2 / 20))


@pytest.mark.slow
def test_where_a_number_is_given_it_is_right_whatever_drifted():
    """A third of `python -m tests.simulated_drifts`, with other seeds."""
    plan = simulated_drifts.planned(5000, 35)
    outcomes = [simulated_drifts.outcome(kind, seed, rows=20_000, reference=20_000) for kind, seed in plan]
    claimed = [one for one in outcomes if one.is_claimed]
    assert np.mean([one.error <= simulated_drifts.POINT for one in claimed]) >= 0.95
    assert np.mean([one.is_covered for one in claimed]) >= 0.85
    answerable = [one for one in outcomes if not one.kind.startswith("MNAR")]
    assert np.mean([one.is_claimed for one in answerable]) >= 0.8
