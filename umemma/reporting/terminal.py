"""Results as lines for the terminal: the table of patterns, and a summary of the data.

Neither this module nor any that it imports may import a library that is slow to load.
"""

from umemma.reporting.data_summary import Summary
from umemma.reporting.results import Accounting, Interval, PatternScores, Robustness

SOURCES = "data/reports/quarantine.parquet", "data/reports/validation.json"
_SINGLE_LABEL = {"accuracy": 10, "95 %": 19, "best tower": 12}  # title of a column: its width
_MULTI_LABEL = {"F1 micro": 10, "95 %": 19, "F1 macro": 10, "best tower micro": 18, "macro": 8}


def table(results: Robustness, accounting: Accounting) -> str:
    """Return the table of patterns: modalities present, n, the score, the best tower alone, utilisation."""
    has_f1, dataset, rows = results.score == "f1_micro", results.dataset, results.patterns
    columns = _MULTI_LABEL if has_f1 else _SINGLE_LABEL
    present = max(24, *(len(name) + 2 for name in rows))
    which = max(10, *(len(row.uni_tower) + 2 for row in rows.values()))
    lines = [
        f"{dataset.name} ({dataset.fingerprint[:12]}), arm {results.arm}, seed {results.seed}, test split",
        f"{'present':<{present}}{'n':>7}"
        + "".join(f"{title:>{width}}" for title, width in columns.items())
        + f"  {'(which)':<{which}}{'cross-entropy':>14}{'utilisation':>13}",
    ]
    for name, row in rows.items():
        figures = _figures(row, getattr(accounting.metrics[name], results.score), has_f1=has_f1)
        used = accounting.information[name].utilisation.value
        lines.append(
            f"{name:<{present}}{row.n:>7}"
            + "".join(f"{figure:>{width}}" for figure, width in zip(figures, columns.values(), strict=True))
            + f"  {'(' + row.uni_tower + ')':<{which}}{row.cross_entropy:>14.4f}"
            + f"{'' if used is None else f'{used:.3f}':>13}"
        )
    return "\n".join(lines)


def _figures(row: PatternScores, score: Interval, *, has_f1: bool) -> list[str]:
    """Return the cells that differ between single-label and multi-label data, in column order."""
    between = f"{_digits(score.low)} to {_digits(score.high)}"
    if has_f1:
        return [_digits(row.f1_micro), between, *map(_digits, (row.f1_macro, row.uni_f1_micro, row.uni_f1_macro))]
    return [_digits(row.accuracy), between, _digits(row.uni)]


def _digits(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def data_lines(data: Summary) -> list[str]:
    """Return a summary of the data."""
    quarantine, validation = SOURCES
    judged, left_out = sum(data.judged.values()), sum(data.quarantined.values())
    lines = [
        f"data: {judged - left_out:,} of {judged:,} samples used, {left_out:,} in quarantine"
        + (f" ({quarantine})" if left_out else "")
    ]
    if left_out:
        width = max(len(row.reason) for row in data.reasons)
        lines.append(" " * width + "".join(f"{split or 'no split':>10}" for split in data.splits))
        lines += [
            f"{row.reason:<{width}}"
            + "".join(f"{row.by_split.get(split, 0):>10,}" for split in data.splits)
            + (f"  {row.example}" if row.example else "")
            for row in data.reasons
        ]
    if data.warnings:
        lines.append(f"warnings: {len(data.warnings)} ({validation})")
        lines += [f"- {sentence}" for sentence in data.warnings]
    if data.ignored:
        lines.append(f"not judged (validation.severity: ignore): {', '.join(data.ignored)}")
    return lines
