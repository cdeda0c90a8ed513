"""Whether the presence of a modality tells the label: the first thing to know of data with holes.

A scan that is made only where a doctor suspects an illness says by its mere presence what the label is. A model then
looks skilful without reading the scan, and the scores of patterns are those of different patients. Judged are

- every modality, by a G-test of presence against label (by permutation where expected counts are small), with Holm's
  correction over the modalities. The effect is Cramer's V, from 0 to 1; with several labels a sample, the largest of
  the classes, whose p is multiplied by their number;
- the whole pattern, by what a classifier reaches on the test samples that knows nothing but which modalities are there.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from umemma.permutation import chance_of
from umemma.validation.expectation import Evidence, Table, between

SIGNIFICANCE = 0.01
_SMALL_COUNT = 5  # expected, below which the G-test's distribution is not that of chi-squared
_MOST_PERMUTED = 20_000  # samples


@dataclass(frozen=True)
class Presence:
    """`modalities`: {name: (p after Holm, effect)}; accuracies on test of the pattern alone, and of the commonest class.

    With several labels a sample, accuracy is the mean over classes of yes or no being right.
    """

    modalities: Mapping[str, tuple[float, float]]
    accuracy: float | None
    majority: float | None

    def telling(self, least_effect: float = 0.0) -> dict[str, float]:
        """Return {modality: effect} of those whose presence tells the label beyond chance."""
        return {
            name: effect for name, (p, effect) in self.modalities.items() if p < SIGNIFICANCE and effect > least_effect
        }


def judged(present: Mapping[str, np.ndarray], label: np.ndarray, split: Sequence[str]) -> Presence:
    """Judge presence, bool (sample,) by modality; `label` is int (sample,) or bool (sample, class)."""
    flags = label if label.ndim == 2 else None
    tests = {
        name: _test(there, label) if flags is None else _several(there, flags)
        for name, there in present.items()
        if there.any() and not there.all()
    }
    patterns = np.unique(np.stack([*present.values()], axis=1), axis=0, return_inverse=True)[1].tolist()
    columns = [label] if flags is None else list(flags.T)
    scores = [_accuracies(patterns, column, np.asarray(split)) for column in columns]
    known = [score for score in scores if score is not None]
    if not known:
        return Presence(_holm(tests), None, None)
    accuracy, majority = (float(np.mean(values)) for values in zip(*known, strict=True))
    return Presence(_holm(tests), accuracy, majority)


def of(evidence: Evidence) -> Presence:
    """Judge the presence of modalities in the shards."""
    manifest, index = evidence.manifest, evidence.index
    present = {name: manifest[f"{name}_present"].to_numpy(bool) for name in index.modalities}
    if evidence.label_column == "label":
        label = manifest["label"].to_numpy()
    else:
        label = np.zeros((len(manifest), len(index.classes)), bool)
        for row, labels in enumerate(manifest["labels"]):
            label[row, [number for number in labels if 0 <= number < len(index.classes)]] = True
    return judged(present, label, manifest["split"].tolist())


def table(evidence: Evidence, max_effect: float) -> Table:
    """Expect of every modality that its presence does not tell the label; the sentence says what it is worth."""
    presence = of(evidence)
    telling = presence.telling()
    rows = [{"key": name, "effect": telling.get(name, 0.0)} for name in evidence.index.modalities]
    expected = [between("effect", None, max_effect, "presence_tells_label")]
    return Table("presence and label", pd.DataFrame(rows), expected, sentence(presence, presence.telling(max_effect)))


def sentence(presence: Presence, telling: Mapping[str, float]) -> str:
    """Return what to say of modalities whose presence tells the label; empty if there are none."""
    if not telling:
        return ""
    named = ", ".join(f"{name} (Cramer's V {effect:.2f})" for name, effect in telling.items())
    worth = ""
    if presence.accuracy is not None and presence.majority is not None:
        worth = (
            f" A rule that sees only which modalities are there is right in {presence.accuracy:.0%} of the test samples; one that "
            f"always says the commonest class, in {presence.majority:.0%}."
        )
    return (
        f"whether a modality is there tells the label: {named}.{worth} A model may score by that alone, and the scores of "
        "different patterns are of samples with different classes"
    )


def content(presence: Presence) -> dict[str, object]:
    """Return the result for a report."""
    return {
        "accuracy": presence.accuracy,
        "majority": presence.majority,
        "modalities": {name: {"p": p, "effect": effect} for name, (p, effect) in presence.modalities.items()},
    }


def _several(there: np.ndarray, flags: np.ndarray) -> tuple[float, float]:
    tests = [_test(there, column) for column in flags.T if column.any() and not column.all()]
    if not tests:
        return 1.0, 0.0
    return min(1.0, min(p for p, _ in tests) * len(tests)), max(effect for _, effect in tests)


def _test(there: np.ndarray, label: np.ndarray) -> tuple[float, float]:
    """Return p and Cramer's V of presence against the class."""
    from scipy.stats import chi2_contingency

    classes, codes = np.unique(label, return_inverse=True)
    if len(classes) < 2:
        return 1.0, 0.0
    counts = _counts(there, codes, len(classes))
    effect = float(np.sqrt(chi2_contingency(counts, correction=False).statistic / len(there)))
    result = chi2_contingency(counts, correction=False, lambda_="log-likelihood")
    if result.expected_freq.min() >= _SMALL_COUNT or len(there) > _MOST_PERMUTED:
        return float(result.pvalue), effect
    return chance_of(lambda flags: _g(_counts(flags, codes, len(classes))), there), effect


def _counts(there: np.ndarray, codes: np.ndarray, num_classes: int) -> np.ndarray:
    return np.bincount(there * num_classes + codes, minlength=2 * num_classes).reshape(2, num_classes)


def _g(counts: np.ndarray) -> float:
    """Return the part of G that depends on the cells, as the margins stay the same."""
    cells = counts[counts > 0]
    return float(2 * (cells * np.log(cells)).sum())


def _holm(tests: Mapping[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    adjusted, largest = {}, 0.0
    for place, name in enumerate(sorted(tests, key=lambda name: tests[name][0])):
        largest = max(largest, min(1.0, tests[name][0] * (len(tests) - place)))
        adjusted[name] = (largest, tests[name][1])
    return {name: adjusted[name] for name in tests}


def _accuracies(patterns: Sequence[int], label: np.ndarray, split: np.ndarray) -> tuple[float, float] | None:
    """Return the accuracy on test of the commonest class of each pattern in train, and of the commonest class of all.

    `patterns`: the number of each sample's pattern.
    """
    train, test = np.flatnonzero(split == "train").tolist(), np.flatnonzero(split == "test").tolist()
    if not train or not test:
        return None
    values = label.tolist()
    overall = _commonest(Counter(values[row] for row in train))
    of_pattern: dict[int, Counter[object]] = {}
    for row in train:
        of_pattern.setdefault(patterns[row], Counter())[values[row]] += 1
    guess = {pattern: _commonest(counts) for pattern, counts in of_pattern.items()}
    right = np.mean([guess.get(patterns[row], overall) == values[row] for row in test])
    return float(right), float(np.mean([values[row] == overall for row in test]))


def _commonest(counts: Counter[object]) -> object:
    return max(sorted(counts, key=str), key=lambda value: counts[value])
