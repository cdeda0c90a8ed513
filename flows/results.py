"""The table of results: one row per set of modalities that is present, read from the report of the pipeline."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

RESULTS = "data/reports/robustness.json"
Row = dict[str, Any]


def read_rows(path: Path) -> list[Row]:
    """Return the numbers of one report, a row per pattern; a number that is undefined is an empty cell."""
    report = json.loads(path.read_text())
    patterns: Mapping[str, Mapping[str, Any]] = report["patterns"]
    fixed = {"dataset": report["dataset"]["name"], "arm": report["arm"], "seed": report["seed"]}
    columns = list(dict.fromkeys(key for numbers in patterns.values() for key in numbers))
    return [
        {**fixed, "present": pattern, **{column: _cell(numbers.get(column)) for column in columns}}
        for pattern, numbers in patterns.items()
    ]


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


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    return round(value, 4) if isinstance(value, float) else value
