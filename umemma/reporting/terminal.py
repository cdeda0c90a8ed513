"""Results as lines for the terminal, in the order of the page: data, verdict, table of patterns, next step.

Neither this module nor any that it imports may import a library that is slow to load.
"""

import textwrap
from collections.abc import Mapping, Sequence

from umemma.reporting import data_figures, encoders, verdict
from umemma.reporting.data_summary import Summary
from umemma.reporting.formatting import in_words, lacking, percent
from umemma.reporting.next_step import NextStep
from umemma.reporting.results import Accounting, Interval, PatternScores, Robustness, Statistics, TowerResult
from umemma.reporting.shown import shown_patterns

WIDTH = 110
ACTIVATE = "source .venv/bin/activate"
SOURCES = "data/reports/quarantine.parquet", "data/reports/validation.json"
_RANKED = {"AUROC": 9, "AUPRC": 9}
_SINGLE_LABEL = {"accuracy": 10, "95 %": 19, **_RANKED, "best alone": 12}  # title of a column: its width
_MULTI_LABEL = {"F1 micro": 10, "95 %": 19, "F1 macro": 10, **_RANKED, "best alone micro": 18, "macro": 8}


def table(results: Robustness, accounting: Accounting) -> str:
    """Return the table of patterns: modalities present, n, the score, AUROC and AUPRC, the best modality alone."""
    has_f1, dataset = results.score == "f1_micro", results.dataset
    rows = {name: results.patterns[name] for name in shown_patterns(accounting)}
    columns = _MULTI_LABEL if has_f1 else _SINGLE_LABEL
    title = {name: _title(name, accounting.modalities) for name in rows}
    present = max(24, *(len(name) + 2 for name in title.values()))
    which = max(10, *(len(row.uni_tower) + 4 for row in rows.values()))
    lines = [
        f"{dataset.name} ({dataset.fingerprint[:12]}), trained as {results.arm}, seed {results.seed}, test split",
        f"{'present':<{present}}{'n':>7}"
        + "".join(f"{title:>{width}}" for title, width in columns.items())
        + f"{'(which)':>{which}}",
    ]
    for name, row in rows.items():
        figures = _figures(row, getattr(accounting.metrics[name], results.score), has_f1=has_f1)
        lines.append(
            f"{title[name]:<{present}}{row.n:>7}"
            + "".join(f"{figure:>{width}}" for figure, width in zip(figures, columns.values(), strict=True))
            + f"{'(' + row.uni_tower + ')':>{which}}"
        )
    if accounting.every_sample:
        lines += _every_sample(accounting, present, columns)
    if hidden := len(results.patterns) - len(rows):
        lines.append(f"({hidden:,} more sets of modalities in data/reports/robustness.json)")
    return "\n".join(lines)


def _every_sample(accounting: Accounting, present: int, columns: Mapping[str, int]) -> list[str]:
    """Return the rows over all samples, each with what it has, in the columns of the table."""
    lines = ["all test samples, each with what it has:"]
    for name, row in accounting.every_sample.items():
        score = getattr(row, accounting.score)
        between = f"{_digits(score.low)} to {_digits(score.high)}"
        figures = [_digits(score.value), between]
        if accounting.score == "f1_micro":
            figures.append(_digits(row.f1_macro.value))
        figures += [_digits(row.auroc.value), _digits(row.auprc.value)]
        lines.append(
            f"{_title(name, accounting.modalities):<{present}}{row.n:>7}"
            + "".join(f"{figure:>{width}}" for figure, width in zip(figures, columns.values(), strict=False))
        )
    return lines


def protocol_lines(results: Robustness) -> list[str]:
    """Return a line for every protocol of the field, and how many samples lack each modality under it; often nothing."""
    rows = [row for row in results.named_protocols if row.scores]
    if not rows:
        return []
    width = max(24, *(len(row.protocol) + 2 for row in rows))
    has_f1 = results.score == "f1_micro"
    columns = ["F1 micro", "F1 macro"] if has_f1 else ["accuracy"]
    lines = [
        f"{'expected under':<{width}}"
        + "".join(f"{column:>10}" for column in [*columns, "AUROC", "AUPRC"])
        + "  lacking"
    ]
    for row in rows:
        assert row.scores is not None, "chosen above"
        figures = [row.scores.f1_micro, row.scores.f1_macro] if has_f1 else [row.scores.accuracy]
        lines.append(
            f"{row.protocol:<{width}}"
            + "".join(f"{_digits(figure):>10}" for figure in [*figures, row.auroc, row.auprc])
            + f"  {lacking(row.missing)}"
        )
    return ["", *lines]


def _title(pattern: str, modalities: Sequence[str]) -> str:
    """Return a pattern's name, in words where they are shorter."""
    return min(pattern, in_words(pattern, modalities), key=len)


def first_lines(accounting: Accounting) -> list[str]:
    """Return what goes before everything else: that a baseline is better; often nothing."""
    sentence = verdict.beaten(accounting)
    return [*textwrap.wrap(sentence, WIDTH), ""] if sentence else []


def verdict_lines(accounting: Accounting) -> list[str]:
    """Return the verdict in sentences."""
    return [line for sentence in verdict.sentences(accounting) for line in textwrap.wrap(sentence, WIDTH)]


def encoder_lines(towers: Mapping[str, TowerResult]) -> list[str]:
    """Return which encoders were kept of those that were tried; always an empty line before what follows."""
    kept = encoders.sentence(towers)
    return ["", *textwrap.wrap(f"encoders, by validation data: {kept}", WIDTH)] if kept else [""]


def next_lines(step: NextStep) -> list[str]:
    """Return why, and the command."""
    words = textwrap.wrap(step.sentence, WIDTH - 9)
    return [f"next:    {words[0]}", *(f"         {line}" for line in words[1:]), f"         {ACTIVATE}; {step.command}"]


def _figures(row: PatternScores, score: Interval, *, has_f1: bool) -> list[str]:
    """Return the cells that differ between single-label and multi-label data, in column order."""
    between = f"{_digits(score.low)} to {_digits(score.high)}"
    ranked = [_digits(row.auroc), _digits(row.auprc)]
    if has_f1:
        alone = [_digits(row.uni_f1_micro), _digits(row.uni_f1_macro)]
        return [_digits(row.f1_micro), between, _digits(row.f1_macro), *ranked, *alone]
    return [_digits(row.accuracy), between, *ranked, _digits(row.uni)]


def _digits(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def data_lines(data: Summary) -> list[str]:
    """Return a summary of the data."""
    quarantine, validation = SOURCES
    judged, left_out = sum(data.judged.values()), sum(data.quarantined.values())
    lines = [
        f"data: {judged - left_out:,} of {judged:,} samples used, {left_out:,} in quarantine"
        + (f" ({quarantine})" if left_out else ""),
        *_presence(data.statistics),
    ]
    if labels := data_figures.classes(data.statistics):
        lines.append(labels.sentence)
    if tells := data_figures.presence_tells(data.statistics):
        lines += textwrap.wrap(tells, WIDTH)
    if left_out:
        width = max(len(row.reason) for row in data.reasons)
        lines.append(" " * width + "".join(f"{split or 'no split':>10}" for split in data.splits))
        lines += [
            f"{row.reason:<{width}}"
            + "".join(f"{row.by_split.get(split, 0):>10,}" for split in data.splits)
            + (f"  {row.example}" if row.example else "")
            for row in data.reasons
        ]
    if data.dropped:
        lines.append(f"dropped values: {', '.join(f'{reason} {count:,}' for reason, count in data.dropped.items())}")
    if data.warnings:
        lines.append(f"warnings: {len(data.warnings)} ({validation})")
        lines += [f"- {sentence}" for sentence in data.warnings]
    if data.ignored:
        lines.append(f"not judged (validation.severity: ignore): {', '.join(data.ignored)}")
    return lines


def _presence(statistics: Statistics) -> list[str]:
    """Return the share of samples that have a modality, where some lack it."""
    rows = {name: of_split for name, of_split in statistics.presence.items() if min(of_split.values()) < 1}
    width = max(map(len, rows), default=0)
    return [
        f"present: {name:<{width}}" + "".join(f"  {split} {percent(share)}" for split, share in of_split.items())
        for name, of_split in rows.items()
    ]
