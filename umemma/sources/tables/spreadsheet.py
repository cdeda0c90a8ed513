"""Reads one sheet of a spreadsheet (.xlsx, .xlsm, .xlsb, .xls, .ods) into rows of cells, by the types that its cells have."""

import io
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from umemma.errors import DataError, ParameterError, unknown

if TYPE_CHECKING:
    from python_calamine import CalamineWorkbook

SUFFIXES = ("xlsx", "xlsm", "xlsb", "xls", "ods")


Sheet = list[tuple[int, list[object]]]


def rows(path: Path, content: bytes, sheet: str | None) -> Sheet:
    """Return every row that is not blank, with its number in the sheet; an empty cell is None.

    `sheet` None: the first that has any cells. Dates and times are ISO text, durations seconds, and whole numbers are
    integers: a spreadsheet has no other than floating-point numbers. A formula is its last result, an error (#N/A) an
    empty cell. Raises DataError if the file cannot be read, ParameterError if there is no such sheet.
    """
    with _opened(path, content) as book:
        check(path, sheet, book.sheet_names)
        names = book.sheet_names if sheet is None else [sheet]
        return next((filled for name in names if (filled := _filled(book, name))), [])


def sheets(path: Path, content: bytes) -> dict[str, Sheet]:
    """Return the rows of every sheet, as `rows` does, by its name. Raises DataError if the file cannot be read."""
    with _opened(path, content) as book:
        return {name: _filled(book, name) for name in book.sheet_names}


def check(path: Path, sheet: str | None, names: Collection[str]) -> None:
    """Raise ParameterError if a sheet is named that is not there."""
    if sheet is not None and sheet not in names:
        raise ParameterError(unknown("dataset.options.sheet", f"sheet of {path}", sheet, names))


@contextmanager
def _opened(path: Path, content: bytes) -> Iterator["CalamineWorkbook"]:
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        yield CalamineWorkbook.from_filelike(io.BytesIO(content))
    except CalamineError as error:
        raise DataError(f"{path} is no readable spreadsheet: {error}") from error


def _filled(book: "CalamineWorkbook", name: str) -> Sheet:
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
