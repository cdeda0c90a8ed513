"""The verdict in words: what the model reaches, alone and without each modality, against the answers that cost nothing.

A difference is only claimed if its interval excludes zero. An interval that is wide is said to be too wide to tell; the
number of groups counts, not that of samples, as samples of a group are not independent.
"""

from collections.abc import Iterator
from typing import get_args

from umemma.reporting import findings
from umemma.reporting.formatting import chance, in_words, listed, percent, points, quoted
from umemma.reporting.results import Accounting, Arm, Interval
from umemma.settings import BaselineName

SCORE_WIDE, DIFFERENCE_WIDE = 0.2, 0.1  # widths of intervals that leave the question open
_ROUNDED = 0.0005  # what is shown as zero
_MOST = 6  # modalities that a sentence names
_TWO = 2  # classes, of which one AUROC and one AUPRC say how well samples are ranked
_BY_CHANCE = 0.5  # AUROC


def beaten(accounting: Accounting) -> str | None:
    """Return the sentence that goes before all others where a baseline is better than this run, else None."""
    sentences = []
    for arm in _baselines(accounting):
        lost = [name for name in accounting.metrics if _is_better(arm, name)]
        if lost:
            sentences.append(
                f"A plain baseline is better than this model: {_described(arm)}, "
                + "; ".join(_lead(accounting, arm, name) for name in lost[:3])
                + (f"; and {len(lost) - 3} more sets of modalities" if len(lost) > 3 else "")
                + "."
            )
    return " ".join(sentences) or None


def better_baselines(accounting: Accounting) -> list[str]:
    """Return the baselines that are better than this run with everything present."""
    fullest = findings.headline(accounting).fullest
    return [row.arm for row in _baselines(accounting) if _is_better(row, fullest)]


def sentences(accounting: Accounting) -> list[str]:
    """Return the verdict, sentence by sentence."""
    return [
        *_every_sample(accounting),
        *_everything(accounting),
        *_alone(accounting),
        *_without(accounting),
        *_halves(accounting),
        *_against_baselines(accounting),
    ]


def is_too_few(accounting: Accounting) -> bool:
    """Return whether the score with everything present is too uncertain to say much."""
    score = getattr(accounting.metrics[findings.headline(accounting).fullest], accounting.score)
    width = _width(score)
    return width is None or width > SCORE_WIDE


def size(accounting: Accounting, pattern: str) -> str:
    """Return how many test samples have a pattern, and from how many groups they come where that is fewer."""
    row = accounting.metrics[pattern]
    return f"{row.n:,} test samples" + (f" from {row.clusters:,} groups" if row.clusters < row.n else "")


def is_useless(accounting: Accounting, name: str) -> bool:
    """Return whether a modality alone neither is right more often than the commonest answer nor ranks above chance."""
    row = accounting.metrics[name]
    return (accounting.majority[name].gain.low or 0.0) <= 0 and (row.auroc.low is None or row.auroc.low <= _BY_CHANCE)


def _every_sample(accounting: Accounting) -> Iterator[str]:
    """Say what holds for all samples with their own holes, which those that have everything may not be typical of."""
    rows = accounting.every_sample
    if not rows:
        return
    row = rows["+".join(accounting.modalities)]
    labels = " + ".join(map(quoted, accounting.majority_labels)) or "no label at all"
    reached = (
        f"the micro F1 is {_with_ends(row.f1_micro)}"
        if accounting.score == "f1_micro"
        else f"{_with_ends(row.accuracy)} are predicted right"
    )
    ranked = (
        f"; AUROC {_with_ends(row.auroc)}, AUPRC {_with_ends(row.auprc)}" if len(accounting.classes) == _TWO else ""
    )
    yield (
        f"Over all {row.n:,} test samples, each with what it has, {reached} (always answering {labels}: "
        f"{percent(row.majority.score)}){ranked}."
    )


def _everything(accounting: Accounting) -> Iterator[str]:
    head = findings.headline(accounting)
    row, majority = accounting.metrics[head.fullest], accounting.majority[head.fullest]
    score = getattr(row, accounting.score)
    start = (
        "With everything present"
        if head.everything
        else f"With {in_words(head.fullest, accounting.modalities)} present, the most there is"
    )
    reached = (
        f"the model reaches a micro F1 of {_with_ends(score)} on {size(accounting, head.fullest)}"
        if accounting.score == "f1_micro"
        else f"{_with_ends(score)} of {size(accounting, head.fullest)} are predicted right"
    )
    yield f"{start}, {reached}."
    labels = " + ".join(map(quoted, accounting.majority_labels)) or "no label at all"
    if majority.gain.low is not None and majority.gain.low > 0:
        yield f"Always answering {labels} would reach {percent(majority.score)}."
    else:
        yield (
            f"That is not more than always answering {labels} reaches ({percent(majority.score)}), as far as these "
            "samples can tell."
        )
    if is_too_few(accounting):
        ends = (
            ""
            if score.low is None
            else f": the truth may lie anywhere from {percent(score.low)} to {percent(score.high)}"
        )
        yield f"Too few samples to tell more, with {size(accounting, head.fullest)}{ends}."


def _alone(accounting: Accounting) -> Iterator[str]:
    alone = {name: accounting.metrics[name] for name in accounting.modalities if name in accounting.metrics}
    if len(accounting.modalities) < 2 or not alone:
        return
    scores = {name: getattr(row, accounting.score) for name, row in alone.items()}
    ranked = sorted(scores, key=lambda name: -(scores[name].value or 0.0))
    named = ranked if len(ranked) <= _MOST else [*ranked[:3], *ranked[-2:]]
    more = "" if named == ranked else f" (the {len(ranked) - len(named)} others in between)"
    yield f"Alone, {listed([f'{name} reaches {_with_ends(scores[name])}' for name in named])}{more}."
    no_gain = [name for name in ranked if (accounting.majority[name].gain.low or 0.0) <= 0]
    useless = [name for name in no_gain if is_useless(accounting, name)]
    if rankers := [name for name in no_gain if name not in useless]:
        yield (
            f"{listed(rankers)} alone {'is' if len(rankers) == 1 else 'are'} right no more often than always answering "
            f"{' + '.join(map(quoted, accounting.majority_labels)) or 'no label'}, but {'ranks' if len(rankers) == 1 else 'rank'} "
            "samples better than chance (AUROC)."
        )
    if useless:
        yield (
            f"{listed(useless)} alone {'is' if len(useless) == 1 else 'are'} no better than always answering "
            f"{' + '.join(map(quoted, accounting.majority_labels)) or 'no label'}, as far as these samples can tell."
        )


def _without(accounting: Accounting) -> Iterator[str]:
    if len(accounting.modalities) < 2:
        return
    losses = {name: row.loss for name, row in accounting.by_modality.items() if row.loss.value is not None}
    unit = "points of F1" if accounting.score == "f1_micro" else "points"
    lost = {name: loss for name, loss in losses.items() if loss.low is not None and loss.low > _ROUNDED}
    won = {name: loss for name, loss in losses.items() if loss.high is not None and loss.high < -_ROUNDED}
    rest = {name: loss for name, loss in losses.items() if name not in lost and name not in won}
    open_ = [name for name, loss in rest.items() if (width := _width(loss)) is None or width > DIFFERENCE_WIDE]
    if lost:
        ranked = sorted(lost, key=lambda name: -(lost[name].value or 0.0))[:_MOST]
        first, *others = (f"{name} it loses {_points(lost[name], unit)}" for name in ranked)
        yield f"Without {listed([first, *(f'without {other}' for other in others)])}."
    for name, gain in won.items():
        yield f"Without {name} it is better, by {_points(_negated(gain), unit)}: the other modalities do not need it."
    if still := [name for name in rest if name not in open_]:
        yield f"Without {listed(still, 'or')} nothing changes that these samples could show."
    if open_:
        yield f"Whether {listed(open_, 'or')} is needed, these samples are too few to tell."


def _halves(accounting: Accounting) -> Iterator[str]:
    if (halves := accounting.halves) is None:
        return
    reached = [f"{percent(row.ratio.value)}{_between(row.ratio)} of the {name}" for name, row in halves.scores.items()]
    yield (
        f"With {halves.kept} of the {halves.of} modalities left (all test samples, the mean of {halves.sets} sets), the "
        f"model reaches {listed(reached)} of specialists, which know in advance what will be left."
    )


def _against_baselines(accounting: Accounting) -> Iterator[str]:
    fullest = findings.headline(accounting).fullest
    fitted = {row.arm for row in accounting.arms}
    if left_out := [name for name in get_args(BaselineName) if name not in fitted]:
        yield f"Not fitted to compare with: {listed([f'the baseline {name}' for name in left_out])}."
    for arm in _baselines(accounting):
        versus = (arm.versus or {}).get(fullest)
        if versus is None or versus.difference.value is None or _is_better(arm, fullest):
            continue
        against, difference = _described(arm), versus.difference
        if difference.high is not None and difference.high < 0:
            yield f"The baseline {against} is {_points(_negated(difference))} behind with everything present."
        elif difference.low is not None and difference.low > 0:
            yield (
                f"The baseline {against} is {_points(difference)} ahead with everything present. As every set of "
                f"modalities is compared, that may be chance (p {chance(versus.p_holm)} after Holm's correction)."
            )
        else:
            yield (
                f"Between this model and the baseline {against} these samples show no difference with everything present "
                f"(the baseline's score {points(difference.value)} points{_ends(difference)})."
            )


def _baselines(accounting: Accounting) -> list[Arm]:
    return [row for row in accounting.arms if row.arm in get_args(BaselineName) and row.versus is not None]


def _described(arm: Arm) -> str:
    return f"{arm.arm} ({arm.about})" if arm.about else arm.arm


def _is_better(arm: Arm, pattern: str) -> bool:
    versus = (arm.versus or {}).get(pattern)
    return (
        versus is not None
        and versus.difference.low is not None
        and versus.difference.low > 0
        and findings.holds(versus)
    )


def _lead(accounting: Accounting, arm: Arm, pattern: str) -> str:
    assert arm.versus is not None, "only an arm that is compared can be better"
    head = findings.headline(accounting)
    where = (
        "with everything present"
        if pattern == head.fullest and head.everything
        else f"with {in_words(pattern, accounting.modalities)}"
    )
    return (
        f"{where} {percent(arm.patterns[pattern].accuracy.mean)} against "
        f"{percent(accounting.metrics[pattern].accuracy.value)}{_ends(arm.versus[pattern].difference, 'points')}"
    )


def _between(value: Interval) -> str:
    return "" if value.low is None else f" [{percent(value.low)} to {percent(value.high)}]"


def _with_ends(value: Interval) -> str:
    return percent(value.value) + _between(value)


def _points(value: Interval, unit: str = "points") -> str:
    """Return a difference that is surely above zero, without a sign."""

    def unsigned(number: float | None) -> str:
        return points(number).lstrip("+")

    return f"{unsigned(value.value)} {unit} [{unsigned(value.low)} to {unsigned(value.high)}]"


def _ends(value: Interval, unit: str = "") -> str:
    if value.low is None or value.high is None:
        return ""
    return f" [{points(value.low)} to {points(value.high)}{f' {unit}' if unit else ''}]"


def _negated(value: Interval) -> Interval:
    def minus(number: float | None) -> float | None:
        return None if number is None else -number

    return Interval(value=minus(value.value), low=minus(value.high), high=minus(value.low))


def _width(value: Interval) -> float | None:
    return None if value.low is None or value.high is None else value.high - value.low
