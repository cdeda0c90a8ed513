"""Today's answers and the labelled reference, in one form."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from umemma.missingness import Pattern


@dataclass(frozen=True)
class Answered:
    """Answers from one set of modalities.

    decided     (row, class) bool: the classes that are predicted
    confidence  (row,) float64: the calibrated probability that the decision is right; with several labels the mean over
                classes, so that right decisions, counted as `umemma.metrics.classification.share_correct` does, have it as
                their expectation
    """

    decided: np.ndarray
    confidence: np.ndarray

    def of(self, rows: np.ndarray) -> "Answered":
        """Return some of the rows."""
        return Answered(self.decided[rows], self.confidence[rows])


def confidence(probability: np.ndarray, decided: np.ndarray, *, several: bool) -> np.ndarray:
    """Return (row,) the expected share of right decisions of (row, class) probabilities, if they are calibrated."""
    if several:
        return np.where(decided, probability, 1 - probability).mean(axis=1)
    return (probability * decided).sum(axis=1)


def share_right(decided: np.ndarray, label: np.ndarray, *, several: bool) -> np.ndarray:
    """Return (row,) the share of right decisions (row, class), 0 or 1 of one label, whose number `label` (row,) is."""
    if several:
        return (decided == label).mean(axis=1)
    return decided[np.arange(len(label)), label].astype(float)


@dataclass(frozen=True)
class Today:
    """Rows without labels. `present` (row, modality) bool; `cluster` (row,) int: equal for one sample asked twice.

    `given` (row, column): what is always seen, on which holes may depend; without columns nothing is.
    """

    present: np.ndarray
    answered: Answered
    cluster: np.ndarray
    given: np.ndarray

    def of(self, rows: np.ndarray) -> "Today":
        """Return some of the rows."""
        return Today(self.present[rows], self.answered.of(rows), self.cluster[rows], self.given[rows])

    def patterns(self) -> dict[Pattern, np.ndarray]:
        """Return the rows of each pattern (row,) int, the most frequent pattern first."""
        found, number, count = np.unique(self.present, axis=0, return_inverse=True, return_counts=True)
        number = number.reshape(-1)
        return {
            tuple(bool(is_there) for is_there in found[one]): np.flatnonzero(number == one)
            for one in np.argsort(-count, kind="stable")
        }


@dataclass(frozen=True)
class Reference:
    """Labelled samples, answered under each pattern, with the rest hidden.

    `present` (sample, modality) bool; `answered` and `right` {pattern: (sample, ...)}: of samples that lack part of a
    pattern they mean nothing; `cluster` (sample,) int; `given` (sample, column), as of today's.
    """

    present: np.ndarray
    answered: Mapping[Pattern, Answered]
    right: Mapping[Pattern, np.ndarray]
    cluster: np.ndarray
    given: np.ndarray

    def holds(self, pattern: Pattern) -> np.ndarray:
        """Return (sample,) bool: has the sample at least the pattern?"""
        return (self.present | ~np.array(pattern, bool)).all(axis=1)
