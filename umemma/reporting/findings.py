"""Findings in words: the headline, and whether the information lies in the interaction of modalities.

A sentence is only written if the figures support it: an arm that models modalities jointly (`TOGETHER`) is better only
if its interval lies entirely above those of the late arms and above zero, and its own p is significant after
Holm's correction. Comparing two intervals of paired differences is stricter than testing the two arms directly.
"""

from dataclasses import dataclass
from typing import Literal

from umemma.reporting.formatting import in_words, listed, nats, percent
from umemma.reporting.results import Accounting, Arm, Interval, Versus

EARLY, UNI, SIGNIFICANT = "early", "uni", 0.05
TOGETHER = (EARLY, "specialist", "frozen specialist")  # specialists try early fusion or an interacting head, too


@dataclass(frozen=True)
class Headline:
    """The patterns that the headline names, the key of the headline score, and the range of utilisation.

    `fullest` is the largest pattern that any sample has; `everything`: whether it has all modalities.
    """

    fullest: str
    everything: bool
    worst: str
    score: Literal["accuracy", "f1_micro"]
    utilisation: tuple[float, float] | None


def headline(accounting: Accounting) -> Headline:
    """Return the content of the headline."""
    metrics, everything = accounting.metrics, "+".join(accounting.modalities)
    score = accounting.score
    utilised = [row.utilisation.value for row in accounting.information.values() if row.utilisation.value is not None]
    return Headline(
        everything if everything in metrics else max(metrics, key=lambda name: name.count("+")),
        everything in metrics,
        min(metrics, key=lambda name: getattr(metrics[name], score).value),
        score,
        (min(utilised), max(utilised)) if utilised else None,
    )


def interaction(accounting: Accounting) -> list[str]:
    """Return a sentence for each sign of information that late fusion cannot use; often none."""
    return [*_late_loses(accounting), *_best_known_is_early(accounting)]


def holes(accounting: Accounting) -> list[str]:
    """Return in words what the data's own holes depend on, and of what there is no sign; nothing for data without holes."""
    questions = {
        "label": "on the label: presence is a hint by itself, which works only where holes come about in the same way",
        "seen_given_label": "on what is seen, beyond the label: samples that have a set are not like those that lack it",
        "group": "on the group",
    }
    sentences = []
    for question, what in questions.items():
        p = {name: getattr(row, question) for name, row in accounting.holes.items()}
        named = [name for name, value in p.items() if value is not None and value < SIGNIFICANT]
        if named:
            sentences.append(f"Whether {listed(named)} {'is' if len(named) == 1 else 'are'} there depends {what}.")
    silent = [name for name, row in accounting.holes.items() if row.label >= SIGNIFICANT and row.least is not None]
    if silent:
        least = max(accounting.holes[name].least or 0.0 for name in silent)
        sentences.append(
            f"Of {listed(silent)} there is no sign that presence depends on the label; a dependence of less than "
            f"{nats(least)} nats would mostly not be found in so few samples."
        )
    return sentences


def _late_loses(accounting: Accounting) -> list[str]:
    full = "+".join(accounting.modalities)
    rows = [row for row in accounting.arms if full in row.patterns and row.arm != UNI]
    together = [row for row in rows if row.arm in TOGETHER]
    late = [row for row in rows if row.arm not in TOGETHER]
    if not together or not late or any(_versus(row, full) is None for row in rows):
        return []

    def mean(row: Arm) -> float:
        return row.patterns[full].accuracy.mean or 0.0

    best, rival = max(together, key=mean), max(late, key=mean)
    others = [versus for row in late if (versus := _versus(row, full))]
    versus_run = _versus(best, full)
    assert versus_run is not None, "every arm here was compared"
    if best.versus is None:
        wins = all((high := other.difference.high) is not None and high < 0 and holds(other) for other in others)
    else:
        bounds = [0.0, *(1.0 if other.difference.high is None else other.difference.high for other in others)]
        wins = holds(versus_run) and versus_run.difference.low is not None and versus_run.difference.low > max(bounds)
    if not wins:
        return []
    who = "early fusion" if best.arm == EARLY else f"the {best.arm}"
    return [
        f"Late fusion loses here. With everything present, {who} is right {percent(mean(best))} of the time and every "
        f"late arm stays significantly below it (the best of them, {rival.arm}, at {percent(mean(rival))}): the "
        "information is in the interaction of the modalities. A head that sums one contribution per modality "
        "(sum_logits, mean_logits, concat, product_of_experts) cannot capture it; gated and attention can."
    ]


def holds(versus: Versus) -> bool:
    """Return whether a difference is significant after Holm's correction."""
    return versus.p_holm is not None and versus.p_holm < SIGNIFICANT


def _versus(row: Arm, pattern: str) -> Versus | None:
    """Return this arm compared with this run: no difference for the run's own arm, None if not measured."""
    if row.versus is None:
        return Versus(difference=Interval(value=0.0, low=0.0, high=0.0), p=1.0, p_holm=1.0)
    return row.versus.get(pattern)


def _best_known_is_early(accounting: Accounting) -> list[str]:
    """A sign, not a proof: early fusion may also be better at extracting information from single modalities."""
    early = {row.name for row in accounting.models if row.arm == EARLY} | {EARLY}
    patterns = [
        in_words(name)
        for name, row in accounting.information.items()
        if "+" in name and row.best_known.model in early and (row.utilisation.high or 1) < 1
    ]
    if not patterns:
        return []
    return [
        f"For {_listed(patterns)} the best known model is early fusion, and it finds significantly more than this "
        "run: a sign that information lies in the interaction of the modalities, where late fusion misses it."
    ]


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{'; '.join(names[:-1])} and {names[-1]}"
