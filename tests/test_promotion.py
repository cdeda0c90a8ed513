"""Whether a model is not worse than another in any pattern: non-inferiority, shown, on the same test samples."""

import math

import pytest
import torch

from tests.conftest import ROOT
from umemma import parameters
from umemma.errors import DataError, ParameterError
from umemma.evaluation import promotion
from umemma.evaluation.bootstrap import Resamples, difference, shift
from umemma.evaluation.comparison import Model
from umemma.missingness import patterns
from umemma.prediction.predictions import Predictions

POLICY = parameters.read(ROOT / "params.yaml").promotion
NAMES = ["image+audio", "image", "audio"]


def model(share_correct, *, n=1000, seed=0, noise=0.0, groups=None):
    """A model that is right on the first share of the samples, by pattern; `noise` of its answers are drawn anew."""
    label = torch.arange(n) % 2
    generator = torch.Generator().manual_seed(seed)
    logits = {(False, False): torch.zeros(n, 2)}
    for pattern, share in zip(patterns(2), share_correct, strict=True):
        is_correct = torch.arange(n) < round(share * n)
        drawn = torch.rand(n, generator=generator) < noise
        is_correct = torch.where(drawn, torch.rand(n, generator=generator) < share, is_correct)
        sure = torch.rand(n, generator=generator) + 0.1  # so that no two models give the same logits
        sign = torch.where(is_correct == (label == 0), 1, -1)
        logits[pattern] = torch.stack([sure, -sure], dim=1) * sign[:, None]
    group = torch.arange(n) if groups is None else torch.arange(n) % groups
    test = Predictions(("image", "audio"), torch.ones(n, 2, dtype=torch.bool), label, group, torch.arange(n), logits)
    return Model("model", "frozen", 0, None, None, {"test": test})


def compared(challenger, champion, **policy):
    found = promotion.compare(
        challenger, champion, POLICY.model_copy(update=policy), replicates=400, significance=0.05, seed=0
    )
    return {one.pattern: one for one in found}


def verdicts(*models, **policy):
    return [one.verdict for one in compared(*models, **policy).values()]


def test_a_model_worse_in_one_pattern_is_worse_there_alone():
    found = compared(model([0.9, 0.8, 0.6], seed=1), model([0.88, 0.8, 0.7]))
    assert [(name, one.verdict) for name, one in found.items()] == list(
        zip(NAMES, ["not worse", "not worse", "worse"], strict=True)
    )
    audio = found["audio"]
    assert (audio.champion, audio.challenger, audio.difference["value"]) == (0.7, 0.6, -0.1)
    assert audio.p < 1e-6
    said = promotion.sentence(audio, 0.02)
    assert said.startswith("audio: accuracy 0.6000, the champion's 0.7000: -10.0 points (95 %: -1")
    assert said.endswith("worse")


def test_few_samples_prove_nothing_and_the_number_that_would_is_said():
    """Two models of equal worth that differ in their answers: on 100 samples unclear, on the number that is named clear."""
    few = compared(model([0.9, 0.8, 0.7], n=100, seed=1, noise=0.3), model([0.9, 0.8, 0.7], n=100, seed=2, noise=0.3))
    assert few["image"].verdict == "unclear"
    assert few["image"].needed > 1000
    assert f"100 test samples cannot rule out a loss of 2; about {few['image'].needed:,} could" in promotion.sentence(
        few["image"], 0.02
    )
    n = 3 * few["image"].needed
    many = compared(model([0.9, 0.8, 0.7], n=n, seed=1, noise=0.3), model([0.9, 0.8, 0.7], n=n, seed=2, noise=0.3))
    assert many["image"].verdict == "not worse"


def test_models_that_agree_on_ten_samples_are_not_shown_to_agree_on_others():
    assert set(verdicts(model([1.0, 1.0, 1.0], n=10, seed=1), model([1.0, 1.0, 1.0], n=10))) == {"unclear"}
    assert set(verdicts(model([1.0, 1.0, 1.0], n=400, seed=1), model([1.0, 1.0, 1.0], n=400))) == {"not worse"}


def test_a_model_that_says_the_same_of_every_sample_is_not_worse_however_few_there_are():
    found = compared(model([1.0, 0.8, 0.6], n=5), model([1.0, 0.8, 0.6], n=5))
    assert [one.verdict for one in found.values()] == ["not worse"] * 3
    assert "the same answer to each of 5 samples" in promotion.sentence(found["image"], 0.02)


def test_the_margin_decides_even_where_a_small_harm_is_certain():
    ours, theirs = model([0.9, 0.8, 0.69], n=5_000, seed=1), model([0.9, 0.8, 0.7], n=5_000)
    assert compared(ours, theirs)["audio"].p < 0.001
    assert verdicts(ours, theirs) == ["not worse"] * 3
    assert verdicts(ours, theirs, margin=0.005) == ["not worse", "not worse", "worse"]


def test_a_model_that_is_worse_by_the_margin_passes_in_few_of_many_test_sets():
    """The level: at most 2.5 % in each pattern, so at most that in all; 200 test sets allow up to 11 (p 0.01)."""
    passed = 0
    for seed in range(200):
        generator = torch.Generator().manual_seed(seed)
        theirs = torch.rand(300, generator=generator) < 0.8
        ours = torch.where(
            torch.rand(300, generator=generator) < 0.2, torch.rand(300, generator=generator) < 0.5, theirs
        )
        estimate = Resamples(torch.arange(300), replicates=200, seed=seed).mean(
            ours.double() - theirs.double(), torch.ones(300, dtype=torch.bool)
        )
        true_loss = 0.2 * (0.8 - 0.5)
        passed += shift(estimate, 300).interval["low"] >= -true_loss
    assert passed <= 11
    assert passed > 0


def test_samples_of_one_group_count_together():
    alone = compared(model([0.9, 0.8, 0.7], seed=1, noise=0.3), model([0.9, 0.8, 0.7], seed=2, noise=0.3))
    together = compared(
        model([0.9, 0.8, 0.7], seed=1, noise=0.3, groups=10), model([0.9, 0.8, 0.7], seed=2, noise=0.3, groups=10)
    )
    assert (alone["image"].groups, together["image"].groups) == (1000, 10)
    assert together["image"].needed > alone["image"].needed
    one = compared(model([0.9, 0.8, 0.7], groups=1, seed=1), model([0.8, 0.7, 0.6], groups=1))
    assert {each.verdict for each in one.values()} == {"unclear"}
    assert "of 1 groups allow no interval" in promotion.sentence(one["image"], 0.02)


def test_the_interval_is_that_of_reports_but_for_two_clusters_more():
    values = torch.tensor([1.0, -1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0] * 50)
    estimate = Resamples(torch.arange(400), replicates=2000, seed=1).mean(values, torch.ones(400, dtype=torch.bool))
    usual, careful = difference(estimate, 400), shift(estimate, 400)
    assert careful.interval["value"] == usual["value"]
    assert 0 < usual["low"] - careful.interval["low"] < 0.002
    variance = values.var().item() / 400 + 2 / 402**2
    assert careful.error == pytest.approx(math.sqrt(variance), rel=0.05)


def test_only_patterns_that_matter_decide_in_any_spelling():
    ours, theirs = model([0.9, 0.8, 0.6], seed=1), model([0.88, 0.8, 0.7])
    assert verdicts(ours, theirs, patterns=["audio+image", "image"]) == ["not worse", "not worse"]
    with pytest.raises(ParameterError, match=r"promotion\.patterns: text was not measured.*image\+audio, image, audio"):
        verdicts(ours, theirs, patterns=["text"])


def test_scores_below_the_lowest_are_named():
    lowest = {"audio": 0.65, "image": 0.5}
    (said,) = promotion.too_low(model([0.9, 0.8, 0.6]), POLICY.model_copy(update={"lowest": lowest}))
    assert said == "audio: accuracy 0.6000, and promotion.lowest asks for 0.6500"


def test_the_margin_that_would_accept_does():
    ours, theirs = model([0.9, 0.8, 0.6], seed=1), model([0.88, 0.8, 0.7])
    margin = promotion.acceptable(list(compared(ours, theirs).values()))
    assert 0.1 < margin < 0.15
    assert set(verdicts(ours, theirs, margin=margin)) == {"not worse"}
    assert "worse" in verdicts(ours, theirs, margin=margin - 0.002)


def test_a_score_that_such_labels_lack_and_other_samples_are_refused():
    with pytest.raises(ParameterError, match="f1_micro is of several labels"):
        verdicts(model([1, 1, 1]), model([1, 1, 1]), metric="f1_micro")
    with pytest.raises(DataError, match="same samples in the same order"):
        verdicts(model([1, 1, 1], n=7), model([1, 1, 1], n=8))


@pytest.mark.parametrize("metric", ["auroc", "auprc"])
def test_ranking_scores_are_compared_too(metric):
    label = torch.arange(600) % 2
    pair = []
    for seed, size in ((0, 1.5), (1, 0.2)):
        base = model([1, 1, 1], n=600)
        noise = torch.randn(600, generator=torch.Generator().manual_seed(seed))
        logits = torch.stack([torch.zeros(600), size * (label - 0.5) + noise], dim=1)
        test = base.splits["test"]
        every = {pattern: logits for pattern in test.logits}
        pair.append(
            Model(
                "m",
                "frozen",
                0,
                None,
                None,
                {"test": Predictions(test.modalities, test.present, label, test.group, test.key, every)},
            )
        )
    better, worse = pair
    assert set(verdicts(worse, better, metric=metric)) == {"worse"}
    assert set(verdicts(better, worse, metric=metric)) == {"not worse"}
