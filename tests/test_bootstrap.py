"""Intervals have their nominal coverage and p values are valid, on simulated data whose truth is known."""

import itertools

import numpy as np
import pytest
import torch
from scipy import stats

from umemma.evaluation import information, pairs
from umemma.evaluation.bootstrap import Resamples, difference, enough_flips, holm, interval, share, sign_flip

MANY = 10**12  # clusters: percentiles as they are


def clustered(rng, num_clusters, size, spread=1.0):
    """Return values (cluster * size,) with mean 0 and a random effect per cluster, and the groups."""
    values = spread * rng.standard_normal((num_clusters, 1)) + rng.standard_normal((num_clusters, size))
    return torch.from_numpy(values.ravel()), torch.arange(num_clusters).repeat_interleave(size)


def everyone(values):
    return torch.ones(len(values), dtype=torch.bool)


@pytest.mark.parametrize("num_clusters", [3, 5, 8, 40])
def test_intervals_of_a_mean_over_clusters_cover_the_truth(num_clusters):
    """By percentiles alone it is in 70 of 100 with three clusters, 86 with eight."""
    rng = np.random.default_rng(0)
    covered = 0
    for seed in range(1000):
        values, group = clustered(rng, num_clusters, 5)
        bounds = interval(Resamples(group, replicates=300, seed=seed).mean(values, everyone(values)), num_clusters)
        covered += bounds["low"] <= 0 <= bounds["high"]
    assert 0.9 <= covered / 1000 <= 0.98


def test_a_p_value_of_few_clusters_is_below_5_percent_where_its_interval_excludes_0():
    rng = np.random.default_rng(0)
    for seed in range(300):
        values, group = clustered(rng, 5, 4)
        resamples = Resamples(group, replicates=300, seed=seed)
        estimate = resamples.mean(values + rng.choice([0.0, 1.0]), everyone(values))
        row = pairs.against_zero({"a": (estimate, everyone(values))}, resamples, two_sided=True)["a"]
        assert (row["p_holm"] < 0.05) == (row["low"] > 0 or row["high"] < 0), row


def test_clusters_that_go_together_make_the_interval_wider():
    values, group = clustered(np.random.default_rng(1), 50, 10)
    wide, narrow = (
        interval(Resamples(clusters, replicates=500, seed=0).mean(values, everyone(values)), len(clusters.unique()))
        for clusters in (group, torch.arange(500))
    )
    assert wide["value"] == narrow["value"]
    assert wide["high"] - wide["low"] > 2 * (narrow["high"] - narrow["low"])


def test_every_replicate_is_the_mean_of_the_clusters_it_drew():
    values, group = clustered(np.random.default_rng(2), 6, 3)
    group = torch.tensor([40, 7, 9, 1, 30, 2])[group]
    rows = torch.arange(18) % 4 != 0
    resamples = Resamples(group, replicates=20, seed=5)
    means = resamples.mean(values, rows)
    assert means[0].item() == pytest.approx(values[rows].mean().item())
    assert (resamples.weight.sum(1) == 6).all()
    names = sorted(group.unique().tolist())
    for weight, mean in zip(resamples.weight, means, strict=True):
        drawn = [
            i
            for name, times in zip(names, weight.long().tolist(), strict=True)
            for _ in range(times)
            for i in range(18)
            if group[i] == name and rows[i]
        ]
        assert mean.item() == pytest.approx(values[drawn].mean().item())
        torch.testing.assert_close(resamples.sample_weight(rows)[0], torch.ones(int(rows.sum()), dtype=torch.float64))


def test_the_same_seed_draws_the_same_clusters_and_another_seed_others():
    weights = [Resamples(torch.arange(30), replicates=10, seed=seed).weight for seed in (3, 3, 4)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_the_difference_of_estimates_is_paired():
    values, group = clustered(np.random.default_rng(3), 30, 4, spread=10.0)
    resamples = Resamples(group, replicates=100, seed=0)
    difference = resamples.mean(values + 1, everyone(values)) - resamples.mean(values, everyone(values))
    torch.testing.assert_close(difference, torch.ones(101, dtype=torch.float64))


def test_intervals_are_percentiles_about_the_value():
    replicates = torch.arange(1001, dtype=torch.float64)
    assert interval(torch.cat([torch.tensor([500.0]), replicates]), MANY) == {
        "value": 500.0,
        "low": 25.0,
        "high": 975.0,
    }
    assert interval(torch.cat([torch.tensor([600.0]), replicates]), MANY) == {
        "value": 600.0,
        "low": 125.0,
        "high": 1075.0,
    }
    bounds = interval(torch.cat([torch.tensor([600.0]), replicates]), MANY, lowest=200.0, highest=700.0)
    assert (bounds["low"], bounds["high"]) == (200.0, 700.0)


def test_entropy_of_few_clusters_is_covered_though_replicates_only_lower_it():
    """Uncorrected percentiles miss the truth in half of the cases."""
    rng, share = np.random.default_rng(4), np.array([0.4, 0.3, 0.2, 0.1])
    truth, covered, in_place = stats.entropy(share), 0, 0
    for seed in range(200):
        label = torch.from_numpy(rng.choice(4, size=30, p=share))
        resamples = Resamples(torch.arange(30), replicates=300, seed=seed)
        estimate = information.entropy(resamples.sums(torch.nn.functional.one_hot(label, 4), everyone(label)))
        bounds = interval(estimate, 30)
        covered += bounds["low"] <= truth <= bounds["high"]
        low, high = estimate[1:].quantile(torch.tensor([0.025, 0.975], dtype=torch.float64))
        in_place += bool(low <= truth <= high)
    assert covered > in_place
    assert covered / 200 > 0.85


def shares(is_correct, group):
    resamples = Resamples(group, replicates=400, seed=0)
    return share(resamples.mean(is_correct, everyone(is_correct)), resamples.clusters_of(everyone(is_correct)))


def test_all_right_of_few_is_no_certainty():
    """38 of 38: Wilson's interval at the 95 % level, with the t of 37 degrees of freedom, begins at 0.902."""
    bounds = shares(torch.ones(38, dtype=torch.float64), torch.arange(38))
    assert (bounds["value"], bounds["high"]) == (1.0, 1.0)
    assert bounds["low"] == pytest.approx(38 / (38 + stats.t.ppf(0.975, 37) ** 2), abs=1e-6)
    of_four_people = shares(torch.ones(38, dtype=torch.float64), torch.arange(38) % 4)
    assert of_four_people["low"] == pytest.approx(4 / (4 + stats.t.ppf(0.975, 3) ** 2), abs=1e-6)


def test_the_interval_of_many_independent_samples_is_wilsons():
    is_correct = torch.from_numpy((np.random.default_rng(6).random(900) < 0.8).astype(float))
    bounds = shares(is_correct, torch.arange(900))
    exact = stats.binomtest(int(is_correct.sum()), 900).proportion_ci(method="wilson")
    assert (bounds["low"], bounds["high"]) == pytest.approx((exact.low, exact.high), abs=0.004)


@pytest.mark.parametrize(
    ("clusters", "size", "spread", "chance"), [(8, 20, 1.0, 0.8), (30, 1, 0.0, 0.95), (5, 10, 0.5, 0.9)]
)
def test_the_interval_of_a_share_covers_the_truth_though_clusters_are_few_or_all_are_right(
    clusters, size, spread, chance
):
    rng, covered, by_percentiles = np.random.default_rng(7), 0, 0
    centre = stats.norm.ppf(chance) * np.sqrt(1 + spread**2)  # so that the mean over clusters is `chance`
    for seed in range(200):
        values = stats.norm.cdf(centre + spread * rng.standard_normal((clusters, 1)))
        is_correct = torch.from_numpy((rng.random((clusters, size)) < values).astype(float).ravel())
        resamples = Resamples(torch.arange(clusters).repeat_interleave(size), replicates=200, seed=seed)
        estimate = resamples.mean(is_correct, everyone(is_correct))
        bounds, percentiles = share(estimate, clusters), interval(estimate, MANY)
        covered += bounds["low"] <= chance <= bounds["high"]
        by_percentiles += percentiles["low"] <= chance <= percentiles["high"]
    assert covered / 200 >= 0.92
    assert covered > by_percentiles


def test_a_share_of_one_cluster_has_no_interval_and_an_undefined_one_no_value():
    assert shares(torch.ones(5, dtype=torch.float64), torch.zeros(5, dtype=torch.int64))["low"] is None
    assert share(torch.full((9,), torch.nan, dtype=torch.float64), 4) == dict.fromkeys(("value", "low", "high"))


def test_two_samples_of_28_all_to_one_side_are_no_difference_and_ten_are():
    resamples = Resamples(torch.arange(28), replicates=1000, seed=0)
    two, ten = torch.zeros(28), torch.zeros(28)
    two[:2], ten[:10] = 1.0, 1.0
    bounds = difference(resamples.mean(two, everyone(two)), 28)
    assert bounds["value"] == pytest.approx(2 / 28, abs=1e-6)
    assert bounds["low"] < 0
    assert difference(resamples.mean(ten, everyone(ten)), 28)["low"] > 0
    assert difference(resamples.mean(ten, everyone(ten)), 1)["low"] is None


@pytest.mark.parametrize(("clusters", "size", "disagree"), [(6, 20, 0.2), (12, 4, 0.2)])
def test_the_interval_of_a_difference_covers_zero_where_models_are_equally_good(clusters, size, disagree):
    rng, covered, by_percentiles = np.random.default_rng(8), 0, 0
    for seed in range(300):
        lean = np.clip(0.5 + 0.2 * rng.standard_normal((clusters, 1)), 0, 1)
        signs = np.where(rng.random((clusters, size)) < lean, 1.0, -1.0) * (rng.random((clusters, size)) < disagree)
        values = torch.from_numpy(signs.ravel())
        resamples = Resamples(torch.arange(clusters).repeat_interleave(size), replicates=200, seed=seed)
        estimate = resamples.mean(values, everyone(values))
        bounds, percentiles = difference(estimate, clusters), interval(estimate, MANY)
        covered += bounds["low"] <= 0 <= bounds["high"]
        by_percentiles += percentiles["low"] <= 0 <= percentiles["high"]
    assert covered / 300 >= 0.93
    assert covered > by_percentiles


def test_what_is_undefined_has_no_interval():
    nan = float("nan")
    assert interval(torch.tensor([nan, 1.0, 2.0]), 3) == {"value": None, "low": None, "high": None}
    assert interval(torch.tensor([float("inf"), 1.0, 2.0]), 3) == {"value": None, "low": None, "high": None}
    assert interval(torch.tensor([1.0, nan, nan, 1.0]), 3) == {"value": 1.0, "low": None, "high": None}
    assert interval(torch.tensor([1.0, 1.0, nan, 1.0]), 3) == {"value": 1.0, "low": 1.0, "high": 1.0}


def test_one_cluster_alone_has_a_value_but_no_interval():
    resamples = Resamples(torch.zeros(5, dtype=torch.int64), replicates=100, seed=0)
    summary = interval(resamples.mean(torch.arange(5.0), everyone(range(5))), 1)
    assert summary == {"value": 2.0, "low": None, "high": None}
    two = Resamples(torch.tensor([0, 0, 0, 1, 1]), replicates=100, seed=0)
    of_one = torch.tensor([True, True, True, False, False])
    summary = interval(two.mean(torch.arange(5.0), of_one), two.clusters_of(of_one))
    assert summary == {"value": 1.0, "low": None, "high": None}


def test_p_is_uniform_where_nothing_differs_also_among_clusters_that_go_together():
    rng = np.random.default_rng(5)
    columns, group = zip(*(clustered(rng, 30, 4) for _ in range(400)), strict=True)
    differences = torch.stack(columns, dim=1)
    p_values = sign_flip(differences, group[0], flips=999, seed=0)
    assert stats.kstest(p_values.different.numpy(), "uniform").pvalue > 0.01
    assert stats.kstest(p_values.less.numpy(), "uniform").pvalue > 0.01
    as_if_independent = sign_flip(differences, torch.arange(120), flips=999, seed=0).different
    assert (as_if_independent < 0.05).double().mean() > 2 * (p_values.different < 0.05).double().mean()


def test_p_is_that_of_all_sign_flips():
    values = torch.tensor([0.9, -0.2, 0.4, 1.1, 0.3, -0.5, 0.8, 0.1], dtype=torch.float64)
    sums = np.array([np.dot(signs, values.numpy()) for signs in itertools.product((1, -1), repeat=8)])
    p_values = sign_flip(torch.stack([values, -values], dim=1), torch.arange(8), flips=40_000, seed=1)
    total = values.sum().item()
    two_sided = (np.abs(sums) >= total - 1e-9).mean()
    assert p_values.different.tolist() == pytest.approx([two_sided, two_sided], abs=0.01)
    assert p_values.less.tolist() == pytest.approx(
        [(sums <= total + 1e-9).mean(), (sums >= total - 1e-9).mean()], abs=0.01
    )


def test_p_is_small_under_an_effect_and_as_small_as_the_flips_allow():
    values, group = clustered(np.random.default_rng(6), 60, 5)
    p_values = sign_flip(torch.stack([values - 3, values + 3], dim=1), group, flips=999, seed=0)
    assert p_values.different.tolist() == [0.001, 0.001]
    assert p_values.less.tolist() == [0.001, 1.0]


def test_equal_models_have_p_one():
    p_values = sign_flip(torch.zeros(20, 1), torch.arange(20), flips=99, seed=0)
    assert (p_values.less.item(), p_values.different.item()) == (1.0, 1.0)


def test_holm_is_the_worked_example():
    p = torch.tensor([0.01, 0.04, 0.03, 0.005], dtype=torch.float64)
    assert holm(p).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm(torch.tensor([0.6, 0.7])).tolist() == [1.0, 1.0]


@pytest.mark.parametrize(("num_comparisons", "below"), [(1, 20), (31, 20), (127, 2), (900, 2)])
def test_flips_are_enough_for_one_of_many_comparisons_to_be_significant(num_comparisons, below):
    smallest = 1 / (1 + enough_flips(100, num_comparisons))
    assert holm(torch.tensor([smallest] + [1.0] * (num_comparisons - 1))).min() <= 0.05 / below
