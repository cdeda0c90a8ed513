"""A benchmark as text: a table for the terminal, one in Markdown, and what they amount to in a sentence or two."""

import re
from collections.abc import Mapping, Sequence

from flows.results import table
from umemma.evaluation.benchmark import BASELINES, OURS, SPECIALIST, Row

BEGIN, END = "<!-- benchmark: written by `make benchmark` -->", "<!-- end of benchmark -->"
COLUMNS = (OURS, *BASELINES, SPECIALIST)
_DIFFERENCE = 4 + len(COLUMNS)  # which cell of a line
Lines = Mapping[str, Sequence[Sequence[str]]]  # {data set: [[cell]]}; the last cell is the verdict
_SIGNS = {"ahead": "**ahead**", "level": "level", "behind": "**behind**"}


def shown(dataset: str, rows: Sequence[Row]) -> str:
    """Return the rows of a data set for the terminal, figures in percent."""
    return table([{"dataset": dataset, **_cells(row), "verdict": row.verdict} for row in rows])


def summary(lines: Lines) -> str:
    """Return in how many data sets and rows our model is ahead of, level with and behind the better baseline."""
    ahead = [name for name, rows in lines.items() if float(rows[0][_DIFFERENCE].split()[0]) > 0]
    behind = [f"{name} ({cells[1]})" for name, rows in lines.items() for cells in rows if cells[-1] == _SIGNS["behind"]]
    return (
        f"With everything present, ours is above the better baseline on {len(ahead)} of {len(lines)} data sets "
        f"({', '.join(ahead) or 'none'}). Behind by more than the interval: {', '.join(behind) or 'nowhere'}."
    )


def lines_of(results: Mapping[str, Sequence[Row]]) -> Lines:
    """Return the rows of data sets as the cells of a table."""
    return {
        dataset: [[f"`{dataset}`", *_cells(row).values(), _SIGNS[row.verdict]] for row in rows]
        for dataset, rows in results.items()
    }


def written(results: Mapping[str, Sequence[Row]], runs: str, failed: Mapping[str, str], page: str) -> str:
    """Return summary, table and what was run in Markdown; data sets of the page's table that were not run stay in it.

    `runs`: which runs the results are of, and of which commit.
    """
    kept, old_runs = _kept(page)
    lines = {**kept, **lines_of(results)}
    made = {**old_runs, **dict.fromkeys(results, runs)}
    head = ["data set", "present", "n (groups)", "score", *COLUMNS, "ours - better baseline", ""]
    text = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    text += [f"| {' | '.join(cells)} |" for rows in lines.values() for cells in rows]
    by_runs = {one: [name for name in lines if made.get(name) == one] for one in dict.fromkeys(made.values())}
    about = [f"- {', '.join(f'`{name}`' for name in names)}: {one}" for one, names in by_runs.items() if names]
    gone = [f"Not run: `{dataset}` ({reason})." for dataset, reason in failed.items()]
    return "\n".join([summary(lines), "", *text, "", *about, *(["", *gone] if gone else [])])


def _kept(page: str) -> tuple[dict[str, list[list[str]]], dict[str, str]]:
    """Return the lines of a page's table by data set, and by data set what was run."""
    lines: dict[str, list[list[str]]] = {}
    runs: dict[str, str] = {}
    block = page.partition(BEGIN)[2].partition(END)[0]
    for line in block.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("| `") and len(cells) == _DIFFERENCE + 2:
            lines.setdefault(cells[0].strip("`"), []).append(cells)
        elif line.startswith("- `"):
            names, _, what = line.removeprefix("- ").partition(": ")
            runs |= dict.fromkeys(names.replace("`", "").split(", "), what)
    return lines, runs


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
