"""Reads one sheet of a spreadsheet (.xlsx, .xlsm, .xlsb, .xls, .ods) into rows of cells, by the types that its cells have."""

import io
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path

from umemma.errors import DataError, ParameterError, unknown

SUFFIXES = ("xlsx", "xlsm", "xlsb", "xls", "ods")


def rows(path: Path, content: bytes, sheet: str | None) -> list[tuple[int, list[object]]]:
    """Return every row that is not blank, with its number in the sheet; an empty cell is None.

    `sheet` None: the first that has any cells. Dates and times are ISO text, durations seconds, and whole numbers are
    integers: a spreadsheet has no other than floating-point numbers. A formula is its last result, an error (#N/A) an
    empty cell. Raises DataError if the file cannot be read, ParameterError if there is no such sheet.
    """
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        book = CalamineWorkbook.from_filelike(io.BytesIO(content))
        if sheet is not None and sheet not in book.sheet_names:
            raise ParameterError(unknown("dataset.options.sheet", f"sheet of {path}", sheet, book.sheet_names))
        for name in book.sheet_names if sheet is None else [sheet]:
            content_of_sheet = book.get_sheet_by_name(name).to_python(skip_empty_area=False)
            filled = [
                (number, [_plain(cell) for cell in cells])
                for number, cells in enumerate(content_of_sheet, start=1)
                if any(cell != "" for cell in cells)
            ]
            if filled:
                return filled
    except CalamineError as error:
        raise DataError(f"{path} is no readable spreadsheet: {error}") from error
    return []


def sheets(path: Path, content: bytes) -> Sequence[str]:
    """Return the names of the sheets. Raises DataError if the file cannot be read."""
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        return CalamineWorkbook.from_filelike(io.BytesIO(content)).sheet_names
    except CalamineError as error:
        raise DataError(f"{path} is no readable spreadsheet: {error}") from error


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
