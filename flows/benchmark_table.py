"""A benchmark as text: a table for the terminal, one in Markdown, and what they amount to in a sentence or two."""

import re
from collections.abc import Mapping, Sequence

from flows.results import table
from umemma.evaluation.benchmark import BASELINES, OURS, SPECIALIST, Row

BEGIN, END = "<!-- benchmark: written by `make benchmark` -->", "<!-- end of benchmark -->"
COLUMNS = (OURS, *BASELINES, SPECIALIST)
_SIGNS = {"ahead": "**ahead**", "level": "level", "behind": "**behind**"}


def shown(dataset: str, rows: Sequence[Row]) -> str:
    """Return the rows of a data set for the terminal, figures in percent."""
    return table([{"dataset": dataset, **_cells(row), "verdict": row.verdict} for row in rows])


def summary(results: Mapping[str, Sequence[Row]]) -> str:
    """Return in how many data sets and rows our model is ahead of, level with and behind the better baseline."""
    first = {dataset: rows[0] for dataset, rows in results.items()}
    ahead = [
        dataset for dataset, row in first.items() if row.difference["value"] is not None and row.difference["value"] > 0
    ]
    behind = [f"{name} ({row.present})" for name, rows in results.items() for row in rows if row.verdict == "behind"]
    return (
        f"With everything present, ours is above the better baseline on {len(ahead)} of {len(first)} data sets "
        f"({', '.join(ahead) or 'none'}). Behind by more than the interval: {', '.join(behind) or 'nowhere'}."
    )


def written(results: Mapping[str, Sequence[Row]], failed: Mapping[str, str]) -> str:
    """Return the summary and the table in Markdown."""
    head = ["data set", "present", "n (groups)", "score", *COLUMNS, "ours - better baseline", ""]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for dataset, rows in results.items():
        for row in rows:
            cells = [f"`{dataset}`", *_cells(row).values(), _SIGNS[row.verdict]]
            lines.append(f"| {' | '.join(cells)} |")
    gone = [f"Not run: `{dataset}` ({reason})." for dataset, reason in failed.items()]
    return "\n".join([summary(results), "", *lines, *(["", *gone] if gone else [])])


def replaced(page: str, content: str) -> str:
    """Return a page with the content between the marks; a page without them gets them at its end."""
    block = f"{BEGIN}\n{content}\n{END}"
    if BEGIN not in page:
        return f"{page.rstrip()}\n\n{block}\n".lstrip()
    return re.sub(f"{re.escape(BEGIN)}.*{re.escape(END)}", lambda _: block, page, flags=re.DOTALL)


def _cells(row: Row) -> dict[str, str]:
    figures = {name: _figure(row.mean[name], row.spread[name]) for name in COLUMNS}
    low, high = row.difference["low"], row.difference["high"]
    ends = "" if low is None or high is None else f" ({100 * low:+.1f} to {100 * high:+.1f})"
    groups = "" if row.num_groups == row.num_samples else f" ({row.num_groups:,})"
    difference = f"{100 * (row.mean[OURS] - row.mean[row.rival]):+.1f}{ends}"
    return {
        "present": row.present,
        "n": f"{row.num_samples:,}{groups}",
        "score": row.metric,
        **figures,
        "difference": difference,
    }


def _figure(mean: float, spread: float | None) -> str:
    return f"{100 * mean:.1f}" + ("" if spread is None else f" ± {100 * spread:.1f}")
