"""The holes that data have by themselves: does presence depend on the label, on what is seen, on the group?

Four questions about every modality that some test samples have and others lack, each a test of whether those that have it
differ from the others:

- label         in their labels. The least information I(R_m; Y) that a test of this size finds with a power of 0.8 goes
                with it, at the level that the correction over all questions leaves: "no sign" of less says nothing.
- seen          in what this run's model answers from the other modalities: holes that depend on what is seen.
- seen_given_label   in the same, where labels are equal: holes that depend on more than the label.
- group         from group to group by more than chance, where groups have several samples.

p values are corrected by Holm's method over all questions about all modalities. That holes depend on the very values that
are missing can never be tested: every such law has a twin that does not, with the same observed data (Molenberghs et al.
2008). So nothing here says that holes are completely at random.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from scipy import optimize, stats
from sklearn.cluster import KMeans

from umemma.evaluation import target
from umemma.evaluation.bootstrap import holm, rounded
from umemma.evaluation.comparison import Model
from umemma.evaluation.target import MOST_MODALITIES, Data
from umemma.evaluation.two_samples import Rows, differ
from umemma.metrics import classification
from umemma.missingness import Pattern
from umemma.permutation import chance_of

LEVEL, POWER = 0.05, 0.8
ODDS = 2.0  # of the bounds that hold whatever holes depend on
_MOST_COLUMNS = 10  # classes whose labels and answers are compared, the most frequent
_MIN_ROWS = 30  # on either side
_ROWS_FOR_COLUMN = 20  # of the smaller side, for each column that is compared
_MANY = 10  # expected in a cell, for the law of large samples; of fewer chance itself is asked
_ALWAYS = 0.99  # share of samples that have a modality which is "always" there
_MOST_BINS, _ROWS_IN_BIN = 8, 30  # of what is always seen; samples of each label in a bin


def diagnosed(main: Model) -> dict[str, Any]:
    """Return by modality with holes: n, the share that has it, p_holm by question, `least` information seen with power 0.8."""
    test = main.splits["test"]
    present, label = test.present.numpy(), _columns(test.label, test.num_classes)
    groups, cluster = np.unique(test.group.numpy(), return_inverse=True)
    p: dict[tuple[str, str], float] = {}
    rows: dict[str, Any] = {}
    degrees: dict[str, int] = {}
    for m, modality in enumerate(test.modalities):
        has = present[:, m]
        fewer = int(min(has.sum(), (~has).sum()))
        if fewer < _MIN_ROWS:
            continue
        seen = _answers(main, m)[:, : fewer // _ROWS_FOR_COLUMN]
        degrees[modality] = int(np.linalg.matrix_rank(label - label.mean(axis=0)))
        p[modality, "label"] = _differs_by_label(has, label, cluster)
        p[modality, "seen"] = differs(has, seen, cluster)
        p[modality, "seen_given_label"] = differs(has, seen, cluster, given=label)
        if len(groups) < len(has):
            p[modality, "group"] = _varies(has, cluster)
        rows[modality] = {"n": len(has), "share": rounded(float(has.mean()))}
    for modality, number in degrees.items():
        rows[modality]["least"] = rounded(least_information(len(groups), number, LEVEL / len(p)))
    corrected = holm(torch.tensor(list(p.values()), dtype=torch.float64)).tolist()
    for (modality, question), value in zip(p, corrected, strict=True):
        rows[modality][question] = rounded(value)
    return {name: {"group": None, **row} for name, row in rows.items()}


def elsewhere(main: Model, rates: Sequence[float], diagnosis: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the accuracy to expect where every modality is missing by chance, at each rate, from data with other holes.

    By weights that let holes depend on the label. If `diagnosis` finds that they depend on more, then on what the modalities
    show that are always there, too: `given` names these. If they depend on more still, there is no value, but bounds.
    Nothing for data without holes, with several labels a sample, or with more than four modalities.
    """
    test, table = main.splits["test"], main.tables["test"]
    if test.present.all() or test.label.ndim == 2 or len(test.modalities) > MOST_MODALITIES:
        return []
    cluster = np.unique(test.group.numpy(), return_inverse=True)[1]
    right = {pattern: table.share_correct[pattern].numpy() for pattern in test.logits}
    more = [name for name, row in diagnosis.items() if row["seen_given_label"] < LEVEL]
    data = Data(test.present.numpy(), test.label.numpy(), cluster, right)
    finer = _by_what_is_seen(main, more, cluster) if more else None
    rows = []
    for rate in rates:
        law = target.at_rate(rate, list(test.logits))
        one, given, refuted = target.expected(data, law, ODDS), [], bool(more)
        if finer is not None:
            by_both = target.expected(replace(data, stratum=finer[1]), law, ODDS)
            if (
                by_both.value is not None
            ):  # None where what is seen all but decides: nobody stands for those who lack it
                one, given, refuted = by_both, finer[0], False
        refuted = refuted and one.value is not None and rate < 1
        ends = (None, None, None) if refuted else (one.value, one.low, one.high)
        rows.append(
            {
                "missing_rate": rate,
                "naive": _rounded(one.naive),
                "accuracy": dict(zip(("value", "low", "high"), map(_rounded, ends), strict=True)),
                "given": given,
                "n_effective": rounded(one.n_effective),
                "bounds": None if one.bounds is None else [rounded(end) for end in one.bounds],
                "why": f"holes of {', '.join(more)} depend on more than the label" if refuted else one.why,
            }
        )
    return rows


def _by_what_is_seen(main: Model, more: Sequence[str], cluster: np.ndarray) -> tuple[list[str], np.ndarray] | None:
    """Return the modalities that are always there, and (row,) strata by the label and what these show.

    None if there are none, or if the presence of one in `more` depends on what is seen within these strata, too.
    """
    test = main.splits["test"]
    seen = _always_seen(main)
    if seen is None:
        return None
    finer = np.unique(np.stack([test.label.numpy(), _bins(main, seen)]), axis=1, return_inverse=True)[1]
    if any(_depends(main, name, cluster, given=finer) * len(more) < LEVEL for name in more):
        return None
    return [name for name, is_seen in zip(test.modalities, seen, strict=True) if is_seen], finer


def _always_seen(main: Model) -> Pattern | None:
    """Return the set of the modalities that are always there; None if there is none."""
    seen: Pattern = tuple((main.splits["test"].present.double().mean(dim=0) >= _ALWAYS).tolist())
    return seen if any(seen) and seen in main.splits["test"].logits else None


def _bins(main: Model, seen: Pattern) -> np.ndarray:
    """Return (row,) the bin of what is answered from the modalities that are always there: nearest means, by likeness.

    Few bins take off nearly all of what a continuous cause does (Rosenbaum & Rubin 1984: five, 90 %).
    """
    test = main.splits["test"]
    answers = test.logits[seen].double().log_softmax(dim=1).numpy()
    most = min(_MOST_BINS, len(np.unique(answers, axis=0)), len(answers) // (_ROWS_IN_BIN * test.num_classes))
    bins: np.ndarray = KMeans(max(most, 1), n_init=10, random_state=0).fit_predict(answers)
    return bins


def _depends(main: Model, modality: str, cluster: np.ndarray, given: np.ndarray) -> float:
    """Return p that a modality's presence depends on nothing that is seen where `given` (row,) int is equal."""
    test = main.splits["test"]
    m = test.modalities.index(modality)
    return differs(test.present[:, m].numpy(), _answers(main, m), cluster, given=np.eye(given.max() + 1)[given])


def _rounded(value: float | None) -> float | None:
    return None if value is None else rounded(value)


def least_information(num_samples: int, degrees: int, level: float = LEVEL) -> float:
    """Return the least I(R_m; Y), nats, that a G test of so many samples finds with a power of 0.8: noncentrality 2 n I."""
    if degrees < 1:
        return float("nan")
    least = stats.chi2.isf(level, degrees)
    needed = optimize.brentq(lambda away: stats.ncx2.sf(least, degrees, away) - POWER, 1e-6, 1e3)
    return float(needed / (2 * num_samples))


def differs(has: np.ndarray, values: np.ndarray, cluster: np.ndarray, given: np.ndarray | None = None) -> float:
    """Return p that (row, column) values of those that have a modality and of the others differ by chance.

    A cluster may have rows on both sides: then it is one draw on each.
    """
    if not values.shape[1]:
        return 1.0
    new, old = (Rows(values[side], np.unique(cluster[side], return_inverse=True)[1]) for side in (has, ~has))
    return differ(new, old, None if given is None else (given[has], given[~has]))


def _differs_by_label(has: np.ndarray, label: np.ndarray, cluster: np.ndarray) -> float:
    """Return p that labels (row, column) of 0 and 1 differ by chance between those that have a modality and the others."""
    share, fewer = label.mean(axis=0), min(has.sum(), (~has).sum())
    if len(cluster) > cluster.max() + 1:
        return differs(has, label[:, : fewer // _ROWS_FOR_COLUMN], cluster)
    if fewer * share.min(initial=1.0) >= _MANY:
        return differs(has, label, cluster)
    scaled = (label - share) / np.sqrt(np.where(share > 0, share, 1.0))
    return chance_of(lambda flags: float(((flags @ scaled) ** 2).sum()), has)


def _varies(has: np.ndarray, cluster: np.ndarray) -> float:
    """Return p of a modality's share varying so much from group to group by chance (Cochran's test of homogeneity)."""
    size, share = np.bincount(cluster), has.mean()

    def spread(flags: np.ndarray) -> float:
        return float(((np.bincount(cluster, flags) - size * share) ** 2 / (size * share * (1 - share))).sum())

    if size.min() * min(share, 1 - share) >= _MANY:
        return float(stats.chi2.sf(spread(has), len(size) - 1))
    return chance_of(spread, has)


def _columns(label: torch.Tensor, num_classes: int) -> np.ndarray:
    """Return (row, column): labels as 0 or 1, of the most frequent classes."""
    flags = classification.has_class(label, num_classes)
    order = flags.sum(dim=0).argsort(descending=True)[:_MOST_COLUMNS]
    return flags[:, order].numpy()


def _answers(main: Model, m: int) -> np.ndarray:
    """Return (row, column): log-probabilities from everything but a modality, centred where the same modalities are seen.

    Which other modalities a sample has moves its answer, and is no value that is seen.
    """
    test = main.splits["test"]
    others: Pattern = tuple(number != m for number in range(len(test.modalities)))
    if others not in test.logits:
        return np.zeros((len(test.label), 0))
    logits = test.logits[others].double()
    answer = torch.nn.functional.logsigmoid(logits) if test.label.ndim == 2 else logits.log_softmax(dim=1)
    columns = answer[:, answer.var(dim=0).argsort(descending=True)[:_MOST_COLUMNS]]
    left = (test.present & torch.tensor(others)).unique(dim=0, return_inverse=True)[1]
    means = torch.zeros(int(left.max()) + 1, columns.shape[1], dtype=torch.float64).index_add_(0, left, columns)
    return (columns - (means / left.bincount()[:, None])[left]).numpy()
