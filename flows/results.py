"""The table of results: one row per set of modalities that is present, read from the report of the pipeline."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RESULTS = "data/reports/robustness.json"
PAGE = "data/reports/report.html"
MOST_ROWS = 16
NOT_SHOWN = ("cross_entropy", "auprc")  # in a log, whose lines are short; they are in the report
Row = dict[str, Any]


@dataclass(frozen=True)
class Results:
    """The numbers of one report; `title` says of which data, arm and seed, `dataset` is the name of the data set."""

    title: str
    dataset: str
    rows: tuple[Row, ...]

    def shown(self) -> str:
        """Return title and table; of many sets of modalities only the fullest and each modality alone."""
        few = self.rows
        if len(few) > MOST_ROWS:
            few = (few[0], *(row for row in few[1:] if "+" not in row["present"]))
        hidden = len(self.rows) - len(few)
        more = f"\n(and {hidden} more sets of modalities in {RESULTS})" if hidden else ""
        short = [{column: cell for column, cell in row.items() if column not in NOT_SHOWN} for row in few]
        return f"{self.title}\n{table(short)}{more}"


def read(path: Path) -> Results:
    """Return the numbers of one report, a row per pattern; a number that is undefined is an empty cell."""
    report = json.loads(path.read_text())
    patterns: Mapping[str, Mapping[str, Any]] = report["patterns"]
    columns = dict.fromkeys(key for numbers in patterns.values() for key, value in numbers.items() if _is_one(value))
    dataset = str(report["dataset"]["name"])
    return Results(
        f"{dataset}, trained as {report['arm']}, seed {report['seed']}, test split",
        dataset,
        tuple(
            {"present": pattern, **{column: _cell(numbers.get(column)) for column in columns}}
            for pattern, numbers in patterns.items()
        ),
    )


def table(rows: Sequence[Row]) -> str:
    """Lay rows out as plain text, numbers to the right."""
    if not rows:
        return "(no rows)"
    lines = [list(rows[0]), *([str(value) for value in row.values()] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    left = {column for column, value in enumerate(rows[0].values()) if isinstance(value, str)}
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _is_one(value: Any) -> bool:
    """Whether this is one figure, not one for each class."""
    return not isinstance(value, Mapping | list)


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    return round(value, 4) if isinstance(value, float) else value
