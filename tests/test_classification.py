"""Every metric against scikit-learn or a plain loop, with and without weights, with ties and missing classes."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from umemma.metrics import calibration, classification, ranking


@pytest.fixture(params=["distinct", "tied", "a class is never right", "a class is nowhere"])
def logits_and_label(request):
    """Return logits (60, 4), label (60,)."""
    generator = torch.Generator().manual_seed(3)
    label = torch.randint(4, (60,), generator=generator)
    logits = torch.randn(60, 4, generator=generator) + 1.5 * torch.eye(4)[label]
    if request.param == "tied":
        logits = logits.round()
    if request.param.startswith("a class"):
        label = torch.where(label == 3, 0, label)
    if request.param == "a class is nowhere":
        logits[:, 3] -= 20
    return logits, label


@pytest.fixture
def weight():
    """Whole numbers as a bootstrap draws them, and any other ones; some samples weigh nothing."""
    generator = torch.Generator().manual_seed(4)
    drawn = torch.randint(60, (5, 60), generator=generator)
    counts = torch.stack([torch.bincount(row, minlength=60) for row in drawn]).double()
    return torch.cat(
        [torch.ones(1, 60, dtype=torch.float64), counts, torch.rand(3, 60, generator=generator, dtype=torch.float64)]
    )


@pytest.mark.parametrize(("ours", "average"), [(classification.f1_macro, "macro"), (classification.f1_micro, "micro")])
def test_f1_is_that_of_scikit_learn(logits_and_label, weight, ours, average):
    logits, label = logits_and_label
    counts = torch.einsum("rs,skc->rkc", weight, classification.class_counts(logits, label).double())
    for row, value in zip(weight, ours(counts), strict=True):
        used = row > 0
        expected = f1_score(label[used], logits.argmax(1)[used], average=average, sample_weight=row[used])
        assert value.item() == pytest.approx(expected)


def test_micro_f1_of_single_labels_is_accuracy(logits_and_label):
    logits, label = logits_and_label
    micro = classification.f1_micro(classification.class_counts(logits, label).sum(0))
    assert micro == classification.share_correct(logits, label).double().mean()


def test_ranking_is_that_of_scikit_learn(logits_and_label, weight):
    logits, label = logits_and_label
    score = logits.double().log_softmax(dim=1).numpy()
    ranked = ranking.by_class(logits, label, range(4), weight)
    for row, *found in zip(weight.numpy(), ranked.auroc, ranked.auprc, strict=True):
        used = row > 0
        for k in range(4):
            right = (label == k).numpy()[used]
            for measure, values in zip((roc_auc_score, average_precision_score), found, strict=True):
                expected = measure(right, score[used, k], sample_weight=row[used]) if right.any() else math.nan
                assert values[k].item() == pytest.approx(expected, nan_ok=True)
    for mean, each in zip(ranked.macro(), ranked, strict=True):
        assert mean.tolist() == pytest.approx(np.nanmean(each.numpy(), axis=1).tolist())


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=30))
def test_ranking_with_ties_is_that_of_scikit_learn(pairs):
    score, positive = torch.tensor([float(score) for score, _ in pairs]), torch.tensor([right for _, right in pairs])
    found = ranking.by_class(torch.stack([score, -score], dim=1), (~positive).long(), [0])
    if positive.all() or not positive.any():
        assert found.auroc.isnan().all()
        assert found.auprc.isnan().all()
    else:
        assert found.auroc.item() == pytest.approx(roc_auc_score(positive, score))
        assert found.auprc.item() == pytest.approx(average_precision_score(positive, score))


def test_confident_predictions_are_still_ranked():
    margin = torch.tensor([900.0, 800.0, 60.0, 50.0, 40.0])
    logits = torch.stack([margin, torch.zeros(5), torch.full((5,), -5.0)], dim=1)
    found = ranking.by_class(logits, torch.tensor([0, 0, 0, 1, 1]), [0])
    assert (found.auroc.item(), found.auprc.item()) == (1.0, 1.0)


def test_of_two_classes_the_rarer_is_ranked_of_equal_ones_the_second_and_of_more_all():
    assert ranking.ranked_classes(torch.tensor([0, 1, 1]), 2) == [0]
    assert ranking.ranked_classes(torch.tensor([0, 1, 0]), 2) == [1]
    assert ranking.ranked_classes(torch.tensor([0, 1]), 2) == [1]
    assert ranking.ranked_classes(torch.tensor([0, 1]), 3) == [0, 1, 2]
    assert ranking.ranked_classes(torch.tensor([[True, False]]), 2) == [0, 1]


def test_a_replicate_with_one_class_only_has_no_ranking(logits_and_label):
    logits, label = logits_and_label
    ranked = ranking.by_class(logits, label, range(4), (label == 0).double()[None])
    assert all(values.isnan().all() for values in (*ranked, *ranked.macro()))


def test_ranking_in_pieces_is_ranking_in_one_piece(logits_and_label, weight, monkeypatch):
    whole = ranking.by_class(*logits_and_label, range(4), weight)
    monkeypatch.setattr(ranking, "_CHUNK", 130)
    for at_once, in_pieces in zip(whole, ranking.by_class(*logits_and_label, range(4), weight), strict=True):
        torch.testing.assert_close(at_once, in_pieces, equal_nan=True)


def test_calibration_error_is_that_of_a_plain_loop(logits_and_label):
    logits, label = logits_and_label
    probability = logits.double().softmax(1).numpy()
    expected, rows = 0.0, []
    for bin_ in range(15):
        inside = [i for i in range(60) if bin_ / 15 < probability[i].max() <= (bin_ + 1) / 15]
        if inside:
            confidence = np.mean([probability[i].max() for i in inside])
            accuracy = np.mean([probability[i].argmax() == label[i].item() for i in inside])
            expected += len(inside) / 60 * abs(accuracy - confidence)
            rows.append([confidence, accuracy, len(inside) / 60])
    counts = calibration.calibration_counts(logits, label).sum(0)
    assert calibration.calibration_error(counts).item() == pytest.approx(expected)
    bins = [[bucket["confidence"], bucket["accuracy"], bucket["share"]] for bucket in calibration.reliability(counts)]
    np.testing.assert_allclose(bins, rows, atol=1e-6)


def test_a_bin_holds_its_upper_edge():
    counts = calibration.calibration_counts(torch.zeros(1, 5), torch.tensor([0])).sum(0)  # confidence 0.2 = 3 / 15
    assert counts[:, 0].nonzero().flatten().tolist() == [2]


def test_certain_answers_are_in_the_last_bin():
    counts = calibration.calibration_counts(torch.tensor([[0.0, 1000.0]]), torch.tensor([1])).sum(0)
    assert calibration.reliability(counts) == [{"confidence": 1.0, "accuracy": 1.0, "share": 1.0}]
    assert calibration.calibration_error(counts) == 0
