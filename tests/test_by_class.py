"""What is said of each class and sample, against scikit-learn."""

import pytest
import torch
from sklearn.metrics import average_precision_score, confusion_matrix, precision_recall_fscore_support, roc_auc_score

from umemma.evaluation.by_class import by_class
from umemma.missingness import patterns
from umemma.prediction.predictions import Predictions

CLASSES = ("cat", "=1+1", "@dog", "bird")
NUM = 200
KEYS, GROUPS = [f"k{number}" for number in range(NUM)], [f"-g{number // 2}" for number in range(NUM)]


def predictions(*, several=False):
    """Return predictions by two modalities; every third sample lacks the first."""
    generator = torch.Generator().manual_seed(4)
    label = torch.randint(3, (NUM,), generator=generator)  # no bird, though some are said to be
    if several:
        label = torch.rand(NUM, 4, generator=generator) < torch.tensor([0.5, 0.3, 0.2, 0.0])
    target = label.float() if several else torch.eye(4)[label]
    logits = {
        pattern: 2 * target - 1 + torch.randn(NUM, 4, generator=generator) * (3 - sum(pattern))
        for pattern in [*patterns(2), (False, False)]
    }
    present = torch.ones(NUM, 2, dtype=torch.bool)
    present[::3, 0] = False
    logits[True, True] = torch.where(present[:, :1], logits[True, True], logits[False, True])
    threshold = {pattern: torch.full((4,), 0.1 * sum(pattern)) for pattern in logits} if several else {}
    number = torch.arange(NUM)
    return Predictions(("a", "b"), present, label, number, number, logits, threshold)


def of_what_each_has(predicted):
    """Return (sample, class) decisions, sample by sample."""
    rows = [predicted.decisions(tuple(has))[row] for row, has in enumerate(predicted.present.tolist())]
    return torch.stack(rows)


@pytest.mark.parametrize("several", [False, True])
def test_every_figure_of_a_class_is_that_of_scikit_learn(several):
    predicted = predictions(several=several)
    content = by_class(predicted, CLASSES, keys=KEYS, groups=GROUPS)
    decisions, label = of_what_each_has(predicted), predicted.label
    said = decisions > 0 if several else decisions.argmax(dim=1)
    scores = precision_recall_fscore_support(label, said, labels=range(4), zero_division=float("nan"))
    logits = predicted.own()[0]
    for k, (name, row) in enumerate(content["classes"].items()):
        assert name == CLASSES[k]
        for column, values in zip(("precision", "recall", "f1", "support"), scores, strict=True):
            if row[column] is not None:
                assert row[column] == pytest.approx(values[k], abs=1e-6)
        is_of = label[:, k] if several else label == k
        score = logits[:, k] if several else logits.double().softmax(1)[:, k]
        if is_of.any():
            assert row["auroc"] == pytest.approx(roc_auc_score(is_of, score), abs=1e-6)
            assert row["auprc"] == pytest.approx(average_precision_score(is_of, score), abs=1e-6)
    assert content["classes"]["bird"]["recall"] is content["classes"]["bird"]["auroc"] is None
    if several:
        assert content["confusion"] is None
    else:
        assert content["confusion"] == confusion_matrix(label, said, labels=range(4)).tolist()


def test_confusions_are_counted_by_pair_the_most_frequent_first():
    predicted = predictions()
    content = by_class(predicted, CLASSES, keys=KEYS, groups=GROUPS)
    matrix = torch.tensor(content["confusion"])
    assert sum(pair["n"] for pair in content["confused"]) == content["num_wrong"] == NUM - matrix.trace()
    assert [pair["n"] for pair in content["confused"]] == sorted((p["n"] for p in content["confused"]), reverse=True)
    for pair in content["confused"]:
        row = matrix[CLASSES.index(pair["true"])]
        assert pair["n"] == row[CLASSES.index(pair["predicted"])]
        assert pair["share"] == pytest.approx(pair["n"] / row.sum().item(), abs=1e-6)


def test_of_several_labels_a_confusion_is_one_missed_and_one_wrongly_said_of_the_same_sample():
    predicted = predictions(several=True)
    content = by_class(predicted, CLASSES, keys=KEYS, groups=GROUPS)
    said = of_what_each_has(predicted) > 0
    for pair in content["confused"]:
        i, j = CLASSES.index(pair["true"]), CLASSES.index(pair["predicted"])
        both = [
            row
            for row in range(NUM)
            if predicted.label[row, i] and not said[row, i] and said[row, j] and not predicted.label[row, j]
        ]
        assert pair["n"] == len(both)


@pytest.mark.parametrize("several", [False, True])
def test_the_most_confident_wrong_answers_are_listed_with_what_was_there(several):
    predicted = predictions(several=several)
    content = by_class(predicted, CLASSES, keys=KEYS, groups=GROUPS)
    said = of_what_each_has(predicted)
    said = said > 0 if several else torch.nn.functional.one_hot(said.argmax(1), 4).bool()
    true = predicted.label if several else torch.nn.functional.one_hot(predicted.label, 4).bool()
    assert len(content["wrong"]) == 12
    confidence = [row["confidence"] for row in content["wrong"]]
    assert confidence == sorted(confidence, reverse=True)
    for row in content["wrong"]:
        number = KEYS.index(row["key"])
        assert row["group"] == GROUPS[number]
        assert row["true"] == [name for name, is_of in zip(CLASSES, true[number], strict=True) if is_of]
        assert row["predicted"] == [name for name, is_of in zip(CLASSES, said[number], strict=True) if is_of]
        assert row["true"] != row["predicted"]
        assert row["present"] == ("a+b" if predicted.present[number, 0] else "b")


def test_where_all_is_right_there_is_nothing_to_look_at():
    label = torch.arange(6) % 2
    sure = {pattern: 9 * torch.eye(2)[label] for pattern in [*patterns(1), (False,)]}
    predicted = Predictions(("a",), torch.ones(6, 1, dtype=torch.bool), label, label, label, sure)
    content = by_class(predicted, ("no", "yes"), keys=list("abcdef"), groups=list("abcdef"))
    assert (content["num_wrong"], content["confused"], content["wrong"]) == (0, [], [])
    assert content["confusion"] == [[3, 0], [0, 3]]
