"""The process that reads a spreadsheet for `spreadsheet`: content on stdin, JSON on stdout.

One of its own, as the reader is a library in Rust that takes memory for every cell of the used area before anything can be
looked at: two cells in opposite corners of a sheet ask for 400 GB, which ends the process that asks. It imports nothing
of the package, to start in a tenth of a second.
"""

import io
import json
import resource
import sys
from datetime import date, datetime, time, timedelta
from typing import Any


def main() -> None:
    """Write {"names": [...], "sheets": {name: [[number of the row, [cells]], ...]}}, or {"error": sentence}."""
    wanted, most_bytes, most_seconds = json.loads(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (most_bytes, most_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (most_seconds, most_seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        book = CalamineWorkbook.from_filelike(io.BytesIO(sys.stdin.buffer.read()))
        result: dict[str, Any] = {"names": book.sheet_names, "sheets": _sheets(book, wanted)}
    except CalamineError as error:
        result = {"error": str(error)}
    except MemoryError:
        sys.exit(1)
    json.dump(result, sys.stdout)


def _sheets(book: Any, wanted: list[str | None] | None) -> dict[str, list[Any]]:
    """Return the rows of the sheets wanted, of [null] the first that has any, of null all."""
    if wanted == [None]:
        for name in book.sheet_names:
            if rows := _filled(book, name):
                return {name: rows}
        return {}
    return {name: _filled(book, name) for name in book.sheet_names if wanted is None or name in wanted}


def _filled(book: Any, name: str) -> list[Any]:
    return [
        (number, [_plain(cell) for cell in cells])
        for number, cells in enumerate(book.get_sheet_by_name(name).to_python(skip_empty_area=False), start=1)
        if any(cell != "" for cell in cells)
    ]


def _plain(cell: object) -> object:
    if cell == "":
        return None
    if isinstance(cell, datetime | date | time):
        return cell.isoformat()
    if isinstance(cell, timedelta):
        return cell.total_seconds()
    if isinstance(cell, float) and cell.is_integer():
        return int(cell)
    return cell


if __name__ == "__main__":
    main()
