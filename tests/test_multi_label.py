"""Multi-label data: metrics against scikit-learn, the accounting against the exact values of a small distribution."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.metrics import average_precision_score, f1_score, log_loss, roc_auc_score

from tests.page_sample import TWO, sample
from umemma.data.batch import Batch
from umemma.evaluation.accounting import account
from umemma.evaluation.comparison import Model
from umemma.evaluation.robustness import Table, results
from umemma.metrics import classification, objective, ranking
from umemma.missingness import key_digest, pattern_name, patterns
from umemma.models.unimodal import Encoder, Tower
from umemma.prediction import predictions, thresholds
from umemma.prediction.predictions import Predictions
from umemma.reporting import expected as expected_metrics
from umemma.reporting.results import Robustness
from umemma.training import fit
from umemma.training.context import TrainingContext
from umemma.training.settings import Compute, Fuse, Pretrain

MODALITIES = ("image", "audio")
SHARE = np.array([[0.3, 0.1], [0.2, 0.4]])  # p(first label, second label)
FLIP = {"image": (0.1, 0.5), "audio": (0.5, 0.2)}  # how often a modality shows each label wrongly; 0.5: no information


@pytest.fixture
def scored():
    """Return logits (80, 4), label (80, 4) bool; the last class is rare."""
    generator = torch.Generator().manual_seed(5)
    label = torch.rand(80, 4, generator=generator) < torch.tensor([0.5, 0.3, 0.3, 0.06])
    return torch.randn(80, 4, generator=generator) + 1.5 * label - torch.tensor([0.5, 1.0, 1.0, 2.5]), label


@pytest.mark.parametrize(("ours", "average"), [(classification.f1_macro, "macro"), (classification.f1_micro, "micro")])
def test_f1_is_that_of_scikit_learn(scored, ours, average):
    logits, label = scored
    score = ours(classification.class_counts(logits, label).sum(0)).item()
    used = (label | (logits > 0)).any(dim=0).numpy()  # a class that never occurs is left out, as documented
    assert score == pytest.approx(f1_score(label.numpy()[:, used], (logits > 0).numpy()[:, used], average=average))


def test_f1_of_samples_is_that_of_scikit_learn(scored):
    logits, label = scored
    score = classification.f1_samples(classification.class_counts(logits, label)).mean().item()
    expected = f1_score(label.numpy(), (logits > 0).numpy(), average="samples", zero_division=1.0)
    assert score == pytest.approx(expected)


def test_accuracy_is_the_share_of_labels_that_are_right(scored):
    logits, label = scored
    assert classification.share_correct(logits, label).mean() == ((logits > 0) == label).double().mean()


def test_surprise_is_the_log_loss_of_every_label_added_up(scored):
    logits, label = scored
    expected = sum(
        log_loss(label[:, k].numpy(), logits[:, k].double().sigmoid().numpy(), labels=[0, 1]) for k in range(4)
    )
    assert classification.nll(logits, label).mean().item() == pytest.approx(expected)


def test_ranking_is_that_of_scikit_learn(scored):
    logits, label = scored
    arguments = label.numpy(), logits.double().numpy()
    each = ranking.by_class(logits, label, ranking.ranked_classes(label, 4))
    for found, average in ((each, None), (each.macro(), "macro"), (ranking.micro(logits, label), "micro")):
        for values, measure in zip(found, (roc_auc_score, average_precision_score), strict=True):
            np.testing.assert_allclose(values.squeeze(), measure(*arguments, average=average))


def test_the_prior_is_the_log_odds_of_every_class_and_finite_where_a_class_is_nowhere():
    label = torch.tensor([[True, False], [False, False], [True, False]])
    torch.testing.assert_close(objective.log_prior(label, 2).sigmoid(), torch.tensor([3 / 5, 1 / 5]))


@pytest.fixture
def calibrated():
    """Return true log-odds (20000, 4), label (20000, 4) bool; the last class is rare."""
    generator = torch.Generator().manual_seed(5)
    logits = 2 * torch.randn(20_000, 4, generator=generator) - torch.tensor([0.0, 1.0, 2.0, 5.0])
    return logits, torch.rand(20_000, 4, generator=generator) < logits.sigmoid()


def best_of_labels(logits, label):
    """Return the threshold of the highest F1 on these very samples, and that F1; logits, label (sample,)."""
    level, order = logits.sort(descending=True)
    hit = label[order].cumsum(dim=0)
    f1 = 2 * hit / (torch.arange(1, len(label) + 1) + label.sum())
    return level[f1.argmax()] - 1e-6, f1.max().item()


def test_a_threshold_finds_the_best_f1_there_is_and_changes_no_probability(calibrated):
    logits, label = calibrated
    chosen = thresholds.fit(logits, label)
    for k in range(4):
        _, best = best_of_labels(logits[:, k], label[:, k])
        assert f1_score(label[:, k].numpy(), (logits[:, k] > chosen[k]).numpy()) >= best - 0.01
        assert chosen[k].sigmoid().item() == pytest.approx(best / 2, abs=0.05)  # Lipton et al. 2014, theorem 1
    predicted = Predictions(
        ("image",),
        torch.ones(len(label), 1, dtype=torch.bool),
        label,
        torch.arange(len(label)),
        torch.arange(len(label)),
        {(True,): logits, (False,): torch.zeros(len(label), 4)},
    )
    decided = thresholds.decided({"val": predicted, "test": predicted}, "validation")["test"]
    assert decided.threshold[(True,)].any()
    assert torch.equal(Table(decided).nll[(True,)], Table(predicted).nll[(True,)])
    # On the most probable labels.
    assert torch.equal(Table(decided).share_correct[(True,)], Table(predicted).share_correct[(True,)])
    assert Table(decided).f1((True,))["f1_macro"] > Table(predicted).f1((True,))["f1_macro"] + 0.05


def test_the_chance_of_a_few_positives_moves_a_threshold_less_than_labels_alone_would(calibrated):
    logits, label = calibrated
    right = thresholds.fit(logits, label)[3]
    parts = [slice(start, start + 400) for start in range(0, 20_000, 400)]  # about twelve positives in each
    ours = torch.stack([thresholds.fit(logits[part], label[part])[3] for part in parts]) - right
    from_labels = torch.stack([best_of_labels(logits[part, 3], label[part, 3])[0] for part in parts]) - right
    assert ours.square().mean() < from_labels.square().mean() / 2


def test_a_model_that_is_too_sure_takes_the_same_decisions(calibrated):
    logits, label = calibrated
    torch.testing.assert_close(thresholds.fit(logits * 3, label) / 3, thresholds.fit(logits, label), atol=0.2, rtol=0)


def test_a_class_without_a_positive_in_validation_takes_the_threshold_of_its_probabilities(calibrated):
    logits, label = calibrated
    none = label.clone()
    none[:, 3] = False
    assert abs(thresholds.fit(logits, none)[3] - thresholds.fit(logits, label)[3]) < 0.7


def test_thresholds_are_kept_with_the_answers(scored, tmp_path):
    logits, label = scored
    predicted = Predictions(
        ("image",),
        torch.ones(80, 1, dtype=torch.bool),
        label,
        torch.arange(80),
        torch.arange(80),
        {(True,): logits, (False,): torch.zeros(80, 4)},
        {(True,): torch.tensor([0.1, 0.2, 0.3, 0.4])},
    )
    predictions.write(tmp_path / "a.safetensors", {"val": predicted, "test": predicted}, {})
    restored, _ = predictions.read(tmp_path / "a.safetensors")
    assert torch.equal(restored["test"].decisions((True,)), predicted.decisions((True,)))
    assert torch.equal(restored["test"].label, label)


def _world(size, seed):
    """Return label (size, 2) bool and the modalities' noisy copies of it, {name: (size, 2) bool}."""
    rng = np.random.default_rng(seed)
    label = np.stack(np.unravel_index(rng.choice(4, size=size, p=SHARE.ravel()), (2, 2)), axis=1).astype(bool)
    return label, {name: label ^ (rng.random((size, 2)) < FLIP[name]) for name in MODALITIES}


def _posterior(pattern, k):
    """Return p(label k | symbols of the present modalities), by enumeration over symbols of label k."""
    prior = SHARE.sum(axis=1 - k)

    def log_odds(seen):
        odds = np.full(len(next(iter(seen.values()))), np.log(prior[1] / prior[0]))
        for is_present, name in zip(pattern, MODALITIES, strict=True):
            if is_present:
                error = FLIP[name][k]
                odds += np.where(seen[name][:, k], np.log((1 - error) / error), np.log(error / (1 - error)))
        return odds

    return log_odds


def _truth(pattern):
    """Return sum_k I(symbols of label k; label k), where a model knows no more than that."""
    total = 0.0
    for k in range(2):
        p = SHARE.sum(axis=1 - k)
        for is_present, name in zip(pattern, MODALITIES, strict=True):
            if is_present:
                error = FLIP[name][k]
                shown = np.array([[1 - error, error], [error, 1 - error]])  # (label, symbol)
                p = p[..., None] * shown.reshape(2, *[1] * (p.ndim - 1), 2)
        flat = p.reshape(2, -1)
        total += stats.entropy(flat.sum(axis=1)) - stats.entropy(flat.ravel()) + stats.entropy(flat.sum(axis=0))
    return total


@pytest.fixture(scope="module")
def bayes():
    """Return the model that predicts exact probabilities, each label from its own symbols."""
    splits = {}
    for number, split in enumerate(("val", "test")):
        label, seen = _world(20_000, number)
        logits = {
            pattern: torch.from_numpy(np.stack([_posterior(pattern, k)(seen) for k in range(2)], axis=1)).float()
            for pattern in [*patterns(2), (False, False)]
        }
        splits[split] = Predictions(
            MODALITIES,
            torch.ones(20_000, 2, dtype=torch.bool),
            torch.from_numpy(label),
            torch.arange(20_000),
            key_digest([f"{split}{i}" for i in range(20_000)]),
            logits,
        )
    return Model("bayes", "uni", 0, None, None, splits)


def test_the_account_finds_the_information_of_all_labels_added_up(bayes):
    report = account(
        [bayes],
        main=bayes,
        probes=None,
        truth=None,
        classes=["first", "second"],
        seed=0,
        replicates=200,
        rates=[0.0, 0.5],
    )
    assert report["task"] == "multi_label"
    for pattern in patterns(2):
        row = report["information"][pattern_name(pattern, MODALITIES)]
        assert row["lower_bound"]["low"] <= _truth(pattern) <= row["lower_bound"]["high"]
        assert row["utilisation"]["value"] == 1.0
        accuracy = report["metrics"][pattern_name(pattern, MODALITIES)]["accuracy"]["value"]
        assert row["floor"]["low"] <= accuracy <= row["ceiling"]["high"]  # both are estimated
    entropy = sum(stats.entropy(SHARE.sum(axis=1 - k)) for k in range(2))
    assert report["entropy"] == pytest.approx(entropy, abs=0.01)


def test_expected_f1_is_that_of_drawn_holes(bayes):
    table = Table(bayes.splits["test"])
    generator = np.random.default_rng(0)
    label = bayes.splits["test"].label
    mask = generator.random((len(label), 2)) >= 0.4
    logits = torch.stack([bayes.splits["test"].logits[tuple(row)][i] for i, row in enumerate(mask.tolist())])
    drawn = classification.f1_micro(classification.class_counts(logits, label).sum(0)).item()
    assert table.expected((0.4, 0.4))["f1_micro"] == pytest.approx(drawn, abs=0.01)
    assert set(results(table, table, [0.0, 0.4], "ab")["rates"][0]) >= {"f1_micro", "f1_macro"}


def report(table, grid):
    """Return robustness.json of a table, the rest of it from page_sample."""
    return Robustness.model_validate(sample(TWO)[0].content() | results(table, table, grid, "ab"))


@pytest.mark.parametrize("rates", [(0.0, 0.0), (0.25, 0.8), (1.0, 0.5), (1.0, 1.0)])
def test_expected_f1_follows_at_any_rates_from_what_is_kept(bayes, rates):
    table = Table(bayes.splits["test"])
    known = expected_metrics.per_pattern(report(table, [0.0, 1.0]))
    metrics = expected_metrics.expected(known, dict(zip(MODALITIES, rates, strict=True)))
    exact = table.expected(rates)
    assert {name: metrics[name] for name in ("accuracy", "cross_entropy", "f1_micro")} == pytest.approx(
        {name: exact[name] for name in ("accuracy", "cross_entropy", "f1_micro")}, abs=3e-6
    )


def _course(head):
    """Return a training context on vectors: `image` shows the first label, `audio` the second, both the third."""
    media, features, towers = {}, {}, {}
    torch.manual_seed(0)
    for number, split in enumerate(("train", "val", "test")):
        generator = torch.Generator().manual_seed(number)
        label = torch.rand(600, 3, generator=generator) < 0.4
        signs = label.float() * 2 - 1
        values = {"image": signs[:, [0, 2]], "audio": signs[:, [1, 2]]}
        values = {name: value + 0.5 * torch.randn(600, 2, generator=generator) for name, value in values.items()}
        media[split] = Batch(
            values, torch.ones(600, 2, dtype=torch.bool), label, key_digest([f"{split}{i}" for i in range(600)])
        )
    for name in MODALITIES:
        towers[name] = Tower(Encoder(name, (2,), {"name": "mlp", "dim": 8}), 3).eval()
    fuse = Fuse(
        head=head,
        substitute="none",
        substitute_at="feature",
        protocol="independent",
        missing_rate=0.5,
        epochs=20,
        batch_size=64,
        lr=0.01,
        tower_lr=0.01,
        weight_decay=0.0,
        class_balance=0.0,
    )
    with torch.no_grad():
        for split, batch in media.items():
            features[split] = batch.with_values({name: towers[name].encoder(batch.values[name]) for name in MODALITIES})
    pretrain = Pretrain(batch_size=64, lr=0.01, weight_decay=0.0, label_smoothing=0.0, class_balance=0.0)
    return TrainingContext(
        media=media,
        compute=Compute(device="cpu", precision="float32", threads=1),
        num_classes=3,
        seed=0,
        towers=towers,
        features=features,
        fuse=fuse,
        pretrain=pretrain,
        early={"name": "mlp"},
    )


@pytest.mark.parametrize("head", ["sum_logits", "mean_logits", "concat", "gated", "attention"])
@pytest.mark.parametrize("arm", ["ume-mma", "early"])
def test_every_head_learns_several_labels_and_loses_only_those_of_what_is_missing(arm, head):
    if arm == "early" and head != "concat":
        return
    context = _course(head)
    trained = fit.fit(arm, context)
    with torch.no_grad():

        def right(present):
            batch = context.media["test"].with_present(torch.tensor(present).expand(600, 2))
            return classification.is_correct(trained.model(batch), batch.label).double().mean(dim=0)

        assert (right([True, True]) > 0.9).all()
        alone = right([True, False])
    assert alone[0] > 0.9
    assert alone[1] < 0.75  # nothing is known of it: the larger class has 0.6
    assert alone[2] > 0.9


def test_the_ensemble_of_several_labels_is_the_product_of_its_towers_for_each_label():
    context = _course("sum_logits")
    model = fit.fit("ensemble", context).model
    batch = context.media["test"]
    with torch.no_grad():
        fused = model(batch)
        alone = [
            model(batch.with_present(torch.tensor(pattern).expand(600, 2)))
            for pattern in ([True, False], [False, True])
        ]
    torch.testing.assert_close(fused, sum(alone) - context.log_prior)


@pytest.mark.parametrize("several", [False, True])
def test_a_balanced_loss_still_has_its_optimum_at_true_probabilities(several):
    """Logits equal to the class log-priors have no gradient, rare classes included, whatever the balance."""
    rare = torch.arange(200) < 20
    label = torch.stack([rare, torch.arange(200) % 2 == 0], dim=1) if several else rare.long()
    share = label.double().mean(dim=0) if several else torch.tensor([0.9, 0.1], dtype=torch.float64)
    prior = share.logit() if several else share.log()
    for balance in (0.0, 0.5, 1.0):
        logits = prior.expand(200, 2).clone().requires_grad_()
        weight = objective.log_class_weight(prior, balance)
        objective.loss(logits, label, log_weight=weight).backward()
        torch.testing.assert_close(logits.grad.sum(dim=0), torch.zeros(2, dtype=torch.float64))
    assert weight[0 if several else 1] > weight[1 if several else 0]  # the rare class weighs more


def test_label_smoothing_pulls_every_label_to_one_half():
    logits, label = torch.zeros(1, 2), torch.tensor([[True, False]])
    assert objective.loss(logits, label, 0.2) == objective.loss(logits, label)
    assert objective.loss(torch.tensor([[9.0, -9.0]]), label, 0.2) > objective.loss(torch.tensor([[9.0, -9.0]]), label)


def test_thresholds_are_for_several_labels_alone(bayes):
    label = bayes.splits["val"].label[:, 0].long()
    predicted = replace(bayes.splits["val"], label=label)
    assert thresholds.decided({"val": predicted, "test": predicted}, "validation")["test"].threshold == {}
