"""A study as a page of the documentation: the question, an answer that follows from the numbers, and the tables."""

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from flows.study_plan import FOLDER, Study
from umemma.evaluation.overall import Overall
from umemma.evaluation.study import Claim, Condition, Score, Verdict
from umemma.profiling.machine import processor

_MIB = 2**20
_POINTS = 100  # shares are shown as percent, differences as points
Place = tuple[str, str, str, Claim]  # condition, part, metric


@dataclass(frozen=True)
class Price:
    """Size of the model's folder, and CPU seconds of training towers and fusion; None where it was not measured."""

    num_bytes: int
    tower_seconds: float | None
    fusion_seconds: float | None


@dataclass(frozen=True)
class Written:
    """All that a page is made of. `whole` is the study, `chosen` what of it was to be run; `missing` {experiment: reason}.

    `seeds`: of the experiments that there are.
    """

    name: str
    whole: Study
    chosen: Study
    conditions: Mapping[str, Condition]
    overall: Overall
    prices: Mapping[tuple[str, str], Price]
    cpu_seconds: float
    missing: Mapping[str, str]
    commit: str
    num_experiments: int
    seeds: Sequence[int]


def page(written: Written) -> str:
    """Return the page in Markdown."""
    lines = [f"# {written.name.capitalize()}", "", f"*{written.whole.question}*", "", *answer(written)]
    if written.whole.remark:
        lines += ["", written.whole.remark.strip()]
    lines += ["", "```", command(written), "```", "", *_made(written)]
    if len(written.conditions) > 1 and written.overall.claims:
        lines += ["", "## On average", "", *_averages(written)]
    for title, condition in written.conditions.items():
        lines += ["", f"## {title}", "", *_tables(written, title, condition)]
    return "\n".join([*lines, ""])


def command(written: Written) -> str:
    """Return the command that makes the page anew."""
    words = ["make", "study", f"NAME={written.name}"]
    if set(written.chosen.cases) != set(written.whole.cases):
        words.append("DATASETS=" + shlex.quote(" ".join(written.chosen.cases)))
    if list(written.chosen.seeds) != list(written.whole.seeds):
        words.append("SEEDS=" + shlex.quote(" ".join(map(str, written.chosen.seeds))))
    return " ".join(words)


def answer(written: Written) -> list[str]:
    """Return the answer, a paragraph and a line for each variant: counts and extremes, no word that is not from numbers."""
    reference = written.chosen.baseline
    by_variant: dict[str, list[Place]] = {}
    for title, condition in written.conditions.items():
        for variant, cells in condition.claims.items():
            for (part, metric), claim in cells.items():
                by_variant.setdefault(variant, []).append((title, part, metric, claim))
    claims = [place[-1] for places in by_variant.values() for place in places]
    if not claims:
        return [f"**Answer.** None: nothing has been run that could be compared with `{reference}`."]
    counts = {verdict: sum(claim.verdict == verdict for claim in claims) for verdict in ("better", "worse")}
    count = (
        f"Of {len(claims)} comparisons one by one, {counts['better']} are better, {counts['worse']} worse, and "
        f"{len(claims) - sum(counts.values())} undecided."
    )
    lines = [f"- `{variant}`: {_told(places)}" for variant, places in by_variant.items()]
    if len(written.conditions) == 1:
        return [f"**Answer**, against `{reference}`. {count}", "", *lines]
    return [f"**Answer**, against `{reference}`. {_average(written.overall)} {count}", "", *lines]


def _average(overall: Overall) -> str:
    """Say which averages hold."""
    places = [(variant, part, claim) for variant, parts in overall.claims.items() for part, claim in parts.items()]
    held = [
        f"`{variant}` is {claim.verdict} with {part}: {_difference(claim)} points"
        for variant, part, claim in places
        if claim.verdict != "undecided"
    ]
    others = f"{len(places) - len(held)} of {len(places)} averages are undecided"
    return f"On average over all conditions, {'; '.join([*held, others])}."


def _told(places: Sequence[Place]) -> str:
    parts = []
    verdicts: tuple[Verdict, ...] = ("better", "worse")
    for verdict in verdicts:
        if own := [place for place in places if place[-1].verdict == verdict]:
            title, part, _, claim = max(own, key=lambda place: abs(place[-1].value))
            where = _conditions_of(own, places)
            parts.append(
                f"{verdict} in {len(own)} of {len(places)}{where}, most in {title}, {part}: {_difference(claim)} points"
            )
    undecided = [place[-1] for place in places if place[-1].verdict == "undecided"]
    if undecided:
        ends = [abs(end) for claim in undecided for end in (claim.low, claim.high) if end is not None]
        most = f", where the intervals allow {_POINTS * max(ends):.1f} points at most" if ends else ""
        parts.append(f"undecided in {len(undecided)}{most}")
    return "; ".join(parts) + "."


def _conditions_of(own: Sequence[Place], places: Sequence[Place]) -> str:
    """Say under which conditions, where it is not under all."""
    titles, everywhere = (list(dict.fromkeys(title for title, *_ in some)) for some in (own, places))
    return "" if len(everywhere) == 1 or titles == everywhere else f" ({'; '.join(titles)})"


def _made(written: Written) -> list[str]:
    chosen = written.chosen
    seeds = ", ".join(map(str, written.seeds))
    lines = [
        f"{written.num_experiments} experiments, seed{'s' if len(written.seeds) > 1 else ''} {seeds}, commit "
        f"{written.commit}, {date.today():%Y-%m-%d}, {len(os.sched_getaffinity(0))} cores of {processor()}; their stages took "
        f"{_duration(written.cpu_seconds)} of CPU time. The study is `{FOLDER}/{written.name}.yaml`; "
        "[how differences are judged](../studies.md)."
    ]
    if len(written.seeds) == 1:
        lines += ["", "One seed: the intervals hold chance in the test samples, not in training."]
    gone = [f"case `{title}`" for title in written.whole.cases if title not in chosen.cases]
    for reason in dict.fromkeys(written.missing.values()):
        own = [name for name, why in written.missing.items() if why == reason]
        gone.append(f"`{own[0]}`" + (f" and {len(own) - 1} more" if len(own) > 1 else "") + f" ({reason})")
    if fewer := [str(seed) for seed in written.whole.seeds if seed not in chosen.seeds]:
        gone.append(f"seed{'s' if len(fewer) > 1 else ''} {', '.join(fewer)}")
    return lines + (["", f"Not run: {'; '.join(gone)}."] if gone else [])


def _averages(written: Written) -> Iterator[str]:
    overall = written.overall
    parts = list(dict.fromkeys(part for claims in overall.claims.values() for part in claims))
    ranked = [part for part in parts if any(part in ranks for ranks in overall.ranks.values())]
    several = bool(ranked) and max(overall.num_data_sets.values()) > 1
    metrics = list(dict.fromkeys(one.metrics[0] for one in written.conditions.values()))
    of_several = f" ({', '.join(metrics)}, whichever tells most of a data set)" if len(metrics) > 1 else ""
    yield (
        f"Mean difference from `{written.chosen.baseline}` in points{of_several}, every data set counting the same, 95 % interval, p corrected over "
        "this table; bold where it holds." + (" Rank: the mean over data sets, 1 is best." if several else "")
    )
    yield ""
    reference: dict[str, Mapping[str, Claim]] = {written.chosen.baseline: {}} if several else {}
    yield from _table(
        [written.chosen.compare, "conditions", "data sets", *parts, *(f"rank, {part}" for part in ranked if several)],
        [
            [
                f"`{variant}`",
                _number(overall.num_conditions.get(variant)),
                _number(overall.num_data_sets.get(variant)),
                *(_claim(claims.get(part)) for part in parts),
                *(_rank(overall, variant, part) for part in ranked if several),
            ]
            for variant, claims in {**reference, **overall.claims}.items()
        ],
    )


def _rank(overall: Overall, variant: str, part: str) -> str:
    ranks = overall.ranks.get(variant, {})
    return f"{ranks[part]:.1f}" if part in ranks else ""


def _tables(written: Written, title: str, condition: Condition) -> Iterator[str]:
    cells = list(dict.fromkeys(cell for scores in condition.scores.values() for cell in scores))
    metrics = list(dict.fromkeys(metric for _, metric in cells))
    heads = [part if len(metrics) == 1 else f"{part}, {metric}" for part, metric in cells]
    groups = "" if condition.num_groups == condition.num_samples else f" in {condition.num_groups:,} groups"
    named = " and ".join(metrics)
    yield (
        f"{named[:1].upper()}{named[1:]} in percent, mean ± standard deviation over seeds; "
        f"{condition.num_samples:,} test samples{groups}."
    )
    yield ""
    yield from _table(
        [written.chosen.compare, *heads, "samples seen", "MiB", "towers, CPU s", "fusion, CPU s"],
        [
            [
                f"`{variant}`",
                *(_figure(scores.get(cell)) for cell in cells),
                _number(condition.budgets.get(variant)),
                *_price(written.prices.get((title, variant))),
            ]
            for variant, scores in condition.scores.items()
        ]
        + ([_possible(condition, cells)] if condition.possible else []),
    )
    if condition.claims:
        yield ""
        yield f"Difference from `{condition.reference}` in points, 95 % interval, corrected p; bold where it holds."
        yield ""
        yield from _table(
            [written.chosen.compare, *heads],
            [
                [f"`{variant}`", *(_claim(claims.get(cell)) for cell in cells)]
                for variant, claims in condition.claims.items()
            ],
        )


def _possible(condition: Condition, cells: Sequence[tuple[str, str]]) -> list[str]:
    return ["possible (exact)", *(f"{_POINTS * condition.possible[part]:.1f}" for part, _ in cells), "", "", "", ""]


def _figure(score: Score | None) -> str:
    if score is None:
        return ""
    return f"{_POINTS * score.mean:.1f}" + ("" if score.spread is None else f" ± {_POINTS * score.spread:.1f}")


def _claim(claim: Claim | None) -> str:
    if claim is None:
        return ""
    p = "" if claim.p_holm is None else f", p {'< .001' if claim.p_holm < 0.001 else f'{claim.p_holm:.3f}'}"
    text = _difference(claim) + p
    return text if claim.verdict == "undecided" else f"**{text}**"


def _difference(claim: Claim) -> str:
    ends = "" if claim.low is None or claim.high is None else f" ({_signed(claim.low)} to {_signed(claim.high)})"
    return f"{_signed(claim.value)}{ends}"


def _signed(share: float) -> str:
    return f"{_POINTS * share:+.1f}".replace("-0.0", "0.0").replace("+0.0", "0.0")


def _price(price: Price | None) -> list[str]:
    if price is None:
        return ["", "", ""]
    return [f"{price.num_bytes / _MIB:.2f}", _seconds(price.tower_seconds), _seconds(price.fusion_seconds)]


def _seconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.0f}"


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield f"| {' | '.join(row)} |"
