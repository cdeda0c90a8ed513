"""Is a model not worse than the one in use, whatever is missing? A paired test of non-inferiority in every pattern.

"No significant difference" would be no answer: on few samples nothing is significant, and the smaller the test set, the worse
the models that pass. So it must be shown that a model is *not* worse: the whole 95 % interval of its difference to the
champion lies above minus a margin (2.5 % on that side, as in ICH E9). It must be shown in every pattern, and then their
number needs no correction: a model that is worse by the margin in one of them passes with at most 2.5 % (intersection-union
test, Berger 1982). Where it is not shown, the model is `worse` if the harm is significant (Holm over patterns), and else it is
`unclear`: the test samples are too few to tell.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from umemma.errors import ParameterError, some
from umemma.evaluation.bootstrap import Interval, Resamples, Shift, holm, rounded, shift, student
from umemma.evaluation.comparison import Model, check_same_samples
from umemma.evaluation.scores import SCORES, telling
from umemma.evaluation.settings import Promotion
from umemma.missingness import Pattern, pattern_name

_NAMES = {"accuracy": "accuracy", "f1_micro": "micro F1", "auroc": "AUROC", "auprc": "AUPRC"}
Verdict = Literal["not worse", "worse", "unclear"]


@dataclass(frozen=True)
class Compared:
    """One score under one pattern, on the `num_samples` test samples, of `groups` groups, that have all of it.

    `difference`: challenger minus champion. `p`, one-sided and after Holm: of one as low if the challenger were as good.
    `needed`: test samples on which an equally good model would be seen not to be worse; None if that cannot be said.
    """

    pattern: str
    score: str
    num_samples: int
    groups: int
    champion: float | None
    challenger: float | None
    difference: Interval
    p: float | None
    needed: int | None
    verdict: Verdict


def compare(
    challenger: Model, champion: Model, policy: Promotion, *, replicates: int, significance: float, seed: int
) -> list[Compared]:
    """Compare two models in each pattern that matters, on the same test samples. Raises DataError if these differ."""
    check_same_samples([challenger], champion)
    test = challenger.splits["test"]
    resamples = Resamples(test.group, replicates=replicates, seed=seed)
    wanted = [(pattern, score) for pattern in _chosen(challenger, policy) for score in _scores(challenger, policy)]
    shifts = [_shift(challenger, champion, pattern, score, resamples) for pattern, score in wanted]
    chances = holm(torch.tensor([1.0 if one.p is None else one.p for one in shifts], dtype=torch.float64)).tolist()
    results = []
    for (pattern, score), one, chance in zip(wanted, shifts, chances, strict=True):
        rows = test.has(pattern)
        count, groups = int(rows.sum()), resamples.clusters_of(rows)
        results.append(
            Compared(
                pattern_name(pattern, test.modalities),
                score,
                count,
                groups,
                _figure(champion, pattern, score),
                _figure(challenger, pattern, score),
                one.interval,
                None if one.p is None else chance,
                _needed(one, count, groups, policy.margin),
                _verdict(one, chance, policy.margin, significance),
            )
        )
    return results


def too_low(model: Model, policy: Promotion) -> list[str]:
    """Return a sentence for each score that is below `promotion.lowest`."""
    return [
        f"{name}: {score} {shown(value)}, and promotion.lowest asks for {shown(lowest)}"
        for name, lowest in policy.lowest.items()
        for pattern in _known(model, [name], "lowest")
        for score in _scores(model, policy)
        if (value := _figure(model, pattern, score)) is None or value < lowest
    ]


def shown(value: float | None) -> str:
    """Return a score as text."""
    return "undefined" if value is None else f"{value:.4f}"


def sentence(one: Compared, margin: float) -> str:
    """Return the figures of a comparison, and what they say: in points, a hundredth each."""
    value, low, high = (one.difference[name] for name in ("value", "low", "high"))
    figures = f"{one.pattern}: {one.score} {shown(one.challenger)}, the champion's {shown(one.champion)}"
    if value is None or low is None or high is None:
        return f"{figures}: {one.verdict}, as {one.num_samples:,} samples of {one.groups} groups allow no interval"
    if one.p is None:
        return f"{figures}: the same answer to each of {one.num_samples:,} samples: {one.verdict}"
    figures += (
        f": {100 * value:+.1f} points (95 %: {100 * low:+.1f} to {100 * high:+.1f}), p {one.p:.1g}: {one.verdict}"
    )
    if one.verdict == "not worse":
        return f"{figures} by {100 * margin:.3g}"
    if one.verdict == "worse":
        return figures
    enough = "" if one.needed is None or one.needed <= one.num_samples else f"; about {one.needed:,} could"
    return f"{figures}, {one.num_samples:,} test samples cannot rule out a loss of {100 * margin:.3g}{enough}"


def acceptable(compared: Sequence[Compared]) -> float | None:
    """Return the smallest margin, to 3 decimals, at which nothing would be worse or unclear; None if there is none."""
    lows = [one.difference["low"] for one in compared]
    known = [low for low in lows if low is not None]
    margin = max(0.0, math.ceil(-1000 * min(known, default=0.0)) / 1000)
    return margin if len(known) == len(lows) and margin < 1 else None


def _shift(challenger: Model, champion: Model, pattern: Pattern, score: str, resamples: Resamples) -> Shift:
    """Return the difference under a pattern: none at all where both models say exactly the same of each sample."""
    ours, theirs = challenger.splits["test"], champion.splits["test"]
    rows = ours.has(pattern)
    if torch.equal(ours.decisions(pattern)[rows], theirs.decisions(pattern)[rows]):
        return Shift({"value": 0.0, "low": 0.0, "high": 0.0}, 0.0, None)
    estimates = [SCORES[score](model, pattern, rows, resamples) for model in (challenger, champion)]
    return shift(estimates[0] - estimates[1], resamples.clusters_of(rows))


def _verdict(one: Shift, chance: float, margin: float, significance: float) -> Verdict:
    low = one.interval["low"]
    if low is not None and low >= -margin:
        return "not worse"
    return "worse" if one.p is not None and chance < significance else "unclear"


def _needed(one: Shift, count: int, groups: int, margin: float) -> int | None:
    """Return how many samples like these give an equally good model an interval above minus the margin, to 2 digits."""
    if not one.error or not margin:
        return None
    number = count * (student(groups - 1) * one.error / margin) ** 2
    digit = 10 ** max(0, math.floor(math.log10(number)) - 1)
    return math.ceil(number / digit) * digit


def _chosen(model: Model, policy: Promotion) -> list[Pattern]:
    return model.splits["test"].patterns() if policy.patterns == "all" else _known(model, policy.patterns, "patterns")


def _scores(model: Model, policy: Promotion) -> tuple[str, ...]:
    label = model.splits["test"].label
    if policy.metric == "f1_micro" and label.ndim == 1:
        raise ParameterError("promotion.metric: f1_micro is of several labels a sample; with one it is the accuracy")
    return telling(label) if policy.metric == "auto" else (_NAMES[policy.metric],)


def _figure(model: Model, pattern: Pattern, score: str) -> float | None:
    test = model.splits["test"]
    return rounded(
        SCORES[score](model, pattern, test.has(pattern), Resamples(test.group, replicates=0, seed=0))[0].item()
    )


def _known(model: Model, names: Sequence[str], key: str) -> list[Pattern]:
    """Return patterns by name, in any order of modalities. Raises ParameterError for one that no test sample has."""
    test = model.splits["test"]
    known = {frozenset(pattern_name(pattern, test.modalities).split("+")): pattern for pattern in test.patterns()}
    if wrong := [name for name in names if frozenset(name.split("+")) not in known]:
        raise ParameterError(
            f"promotion.{key}: {wrong[0]} was not measured, or no test sample has all of it; measured were "
            f"{some((pattern_name(pattern, test.modalities) for pattern in test.patterns()), 30)}"
        )
    return [known[frozenset(name.split("+"))] for name in names]
