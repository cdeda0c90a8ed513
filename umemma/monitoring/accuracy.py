"""Expected accuracy of today's rows without their labels, or why it cannot be known.

A model's confidence, corrected by pattern: the mean of c + delta_R over today's rows, where delta_r is the reference's
mean of (right - c) over samples that hold r, answered from r alone. It is right if right - c has the reference's law given
r: when modalities fail more or less often, but not because of what they would have shown, or of the label. What is
always seen may decide: samples are weighted by it.

The condition cannot be seen, but what breaks it mostly moves answers: the number is withheld if answers and confidences
given r, and given what is always seen, are not distributed as in the reference, in any pattern. A change that moves
neither stays invisible.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from umemma.evaluation.bootstrap import holm
from umemma.evaluation.two_samples import Rows, alike, differ, odds
from umemma.missingness import Pattern
from umemma.monitoring.samples import Answered, Reference, Today
from umemma.monitoring.settings import Settings
from umemma.monitoring.transport import Estimate, Figure, Holders, carried_over, of_rows

_MOST_CLASSES = 10  # whose shares are compared, the most frequent
LEAST_ROWS, _ROWS_OF_A_COLUMN = 50, 20  # of 20 rows, tests of level 0.05 gave up to 0.17 false alarms; of 50, 0.06


_Part = tuple[Answered, np.ndarray, np.ndarray]  # answers, their clusters, what is always seen


@dataclass(frozen=True)
class OfPattern:
    """A pattern of today's rows: `n`, of which a `share`.

    `n_reference`: test samples that stand for it, as many as their weights leave. `p`: that its answers differ from theirs
    by chance, corrected for the number of patterns; None if there are none. `accuracy`: expected; None if they are too few.
    """

    n: int
    share: float
    n_reference: float
    p: float | None
    accuracy: float | None


@dataclass(frozen=True)
class Expected:
    """What is expected of today's rows.

    `accuracy` is None where it cannot be known: for patterns that `differ`, or that are `unseen` by the reference, or where
    rows are too few to be compared. `bounds` hold then, if the odds of being right, given an answer, changed by at most
    the factor `Settings.odds`.
    """

    accuracy: Estimate | None
    bounds: tuple[float, float]
    differ: tuple[Pattern, ...]
    unseen: tuple[Pattern, ...]
    patterns: Mapping[Pattern, OfPattern]


def expected(today: Today, reference: Reference, settings: Settings) -> Expected:
    """Return what is expected of today's rows."""
    by_pattern = today.patterns()
    figures = {
        pattern: _figure(today, reference, pattern, rows)
        for pattern, rows in by_pattern.items()
        if pattern in reference.answered and reference.holds(pattern).any()
    }
    p = _differences(today, reference, figures)
    known = {pattern: one for pattern, one in figures.items() if one.holders.n_effective >= settings.least_reference}
    chance = np.full(len(today.present), np.nan)
    for one in known.values():
        chance[one.holders.rows] = of_rows(one)
    differing = tuple(pattern for pattern in p if p[pattern] < settings.significance)
    share_unknown = float(np.isnan(chance).mean())
    is_withheld = bool(differing) or share_unknown > settings.unseen or len(chance) < LEAST_ROWS
    return Expected(
        accuracy=None if is_withheld else _accuracy(today, reference, known, share_unknown),
        bounds=_bounds(chance, settings.odds),
        differ=differing,
        unseen=tuple(pattern for pattern in by_pattern if pattern not in known),
        patterns={
            pattern: OfPattern(
                n=len(rows),
                share=len(rows) / len(today.present),
                n_reference=figures[pattern].holders.n_effective if pattern in figures else 0.0,
                p=p.get(pattern),
                accuracy=float(chance[rows].mean()) if pattern in known else None,
            )
            for pattern, rows in by_pattern.items()
        },
    )


def _figure(today: Today, reference: Reference, pattern: Pattern, rows: np.ndarray) -> Figure:
    samples = np.flatnonzero(reference.holds(pattern))
    weight = odds(*alike(today.given[rows], reference.given[samples]))
    off = reference.right[pattern][samples] - reference.answered[pattern].confidence[samples]
    return Figure(Holders(rows, samples, weight), today.answered.confidence[rows], off)


def _differences(today: Today, reference: Reference, figures: Mapping[Pattern, Figure]) -> dict[Pattern, float]:
    """Return p for each pattern: are answers distributed as in the reference, given what is always seen?

    Patterns of few rows share one test; if these are few together, there is none.
    """
    small = [pattern for pattern, one in figures.items() if len(one.holders.rows) < LEAST_ROWS]
    groups = [[pattern] for pattern in figures if pattern not in small]
    if sum(len(figures[pattern].holders.rows) for pattern in small) >= LEAST_ROWS:
        groups.append(small)
    p = holm(torch.tensor([_difference(today, reference, figures, group) for group in groups], dtype=torch.float64))
    return {pattern: chance for group, chance in zip(groups, p.tolist(), strict=True) for pattern in group}


def _difference(
    today: Today, reference: Reference, figures: Mapping[Pattern, Figure], group: Sequence[Pattern]
) -> float:
    """Return p of one test over the rows of some patterns, each compared with its own holders."""
    rows: list[_Part] = []
    samples: list[_Part] = []
    for number, pattern in enumerate(group):
        holders = figures[pattern].holders
        given = alike(today.given[holders.rows], reference.given[holders.samples])
        is_of = np.arange(1, len(group)) == number
        for part, index, answered, cluster, seen in (
            (rows, holders.rows, today.answered, today.cluster, given[0]),
            (samples, holders.samples, reference.answered[pattern], reference.cluster, given[1]),
        ):
            part.append(
                (answered.of(index), cluster[index], np.concatenate([np.tile(is_of, (len(index), 1)), seen], axis=1))
            )
    (new, new_cluster, new_given), (old, old_cluster, old_given) = map(_joined, (rows, samples))
    tested = _compared(new, old)
    return differ(Rows(tested[0], new_cluster), Rows(tested[1], old_cluster), (new_given, old_given))


def _joined(parts: Sequence[_Part]) -> _Part:
    answered, cluster, given = zip(*parts, strict=True)
    decided, confidence = ([getattr(one, name) for one in answered] for name in ("decided", "confidence"))
    return Answered(np.concatenate(decided), np.concatenate(confidence)), np.concatenate(cluster), np.concatenate(given)


def _compared(new: Answered, old: Answered) -> tuple[np.ndarray, np.ndarray]:
    """Return what is compared of answers: confidence, frequent decisions, confidence squared, and by decision.

    A column for twenty rows of the smaller sample, the most telling first: with more the test gives false alarms.
    """
    count = new.decided.sum(axis=0) + old.decided.sum(axis=0)
    frequent = np.argsort(-count, kind="stable")[:_MOST_CLASSES]
    most = min(len(new.decided), len(old.decided)) // _ROWS_OF_A_COLUMN

    def columns(one: Answered) -> np.ndarray:
        decided, confidence = one.decided[:, frequent], one.confidence[:, None]
        return np.concatenate([confidence, decided, confidence**2, decided * confidence], axis=1)[:, :most]

    return columns(new), columns(old)


def _accuracy(today: Today, reference: Reference, known: Mapping[Pattern, Figure], unknown: float) -> Estimate:
    """Return the estimate; the rows of which nothing is known, a share `unknown`, may be all wrong, or all right."""
    rest = np.zeros(0, dtype=int)
    found = carried_over(list(known.values()), rest, today.cluster, reference.cluster)
    low, high = max(found.low, 0.0) * (1 - unknown), min(found.high, 1.0) * (1 - unknown) + unknown
    return replace(found, low=low, high=high)


def _bounds(chance: np.ndarray, factor: float) -> tuple[float, float]:
    """Return the least and the largest accuracy if each row's odds of being right change by at most the factor."""
    p = chance.clip(0.0, 1.0)
    low, high = p / (p + (1 - p) * factor), p * factor / (p * factor + 1 - p)
    return float(np.nan_to_num(low, nan=0.0).mean()), float(np.nan_to_num(high, nan=1.0).mean())
