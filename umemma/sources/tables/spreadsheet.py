"""Reads one sheet of a spreadsheet (.xlsx, .xlsm, .xlsb, .xls, .ods) into rows of cells, by the types that its cells have.

In a process of its own (`sheet_process`), with memory for as many cells as are read and time by the size of the file: what
takes more ends that process, not this one.
"""

import io
import json
import signal
import subprocess
import sys
import zipfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from umemma import limits
from umemma.errors import DataError, OverLimit, ParameterError, unknown

SUFFIXES = ("xlsx", "xlsm", "xlsb", "xls", "ods")
Sheet = list[tuple[int, list[object]]]
_BYTES, _BYTES_OF_CELL = 256 * limits.MIB, 64
_SECONDS, _SECONDS_OF_MIB = 10, 2  # of CPU


def rows(path: Path, content: bytes, sheet: str | None) -> Sheet:
    """Return every row that is not blank, with its number in the sheet; an empty cell is None.

    `sheet` None: the first that has any cells. Dates and times are ISO text, durations seconds, and whole numbers are
    integers: a spreadsheet has no other than floating-point numbers. A formula is its last result, an error (#N/A) an
    empty cell. Raises DataError if the file cannot be read, ParameterError if there is no such sheet.
    """
    result = _read(path, content, [sheet])
    check(path, sheet, result["names"])
    return next(iter(result["sheets"].values()), [])


def sheets(path: Path, content: bytes) -> dict[str, Sheet]:
    """Return the rows of every sheet, as `rows` does, by its name. Raises DataError if the file cannot be read."""
    found: dict[str, Sheet] = _read(path, content, None)["sheets"]
    return found


def check(path: Path, sheet: str | None, names: Collection[str]) -> None:
    """Raise ParameterError if a sheet is named that is not there."""
    if sheet is not None and sheet not in names:
        raise ParameterError(unknown("dataset.options.sheet", f"sheet of {path}", sheet, names))


def _read(path: Path, content: bytes, wanted: Sequence[str | None] | None) -> dict[str, Any]:
    _check_unpacked(path, content)
    most_cells = limits.current().cells
    most_seconds = _SECONDS + _SECONDS_OF_MIB * len(content) // limits.MIB
    done = subprocess.run(
        [
            *(sys.executable, "-m", "umemma.sources.tables.sheet_process"),
            json.dumps([wanted, _BYTES + _BYTES_OF_CELL * most_cells, most_seconds]),
        ],
        input=content,
        capture_output=True,
        check=False,
    )
    if done.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        raise OverLimit(f"{path} takes more than the {most_seconds} s that a spreadsheet of its size is read for")
    if done.returncode:
        raise OverLimit(
            f"{path}: over limits.cells: the used area of the spreadsheet, from its first cell to its last, takes more memory "
            f"than {most_cells:,} cells do, or its reader ended otherwise; `limits: {{cells: {4 * most_cells}}}` in the data "
            "set's file gives it more"
        )
    result: dict[str, Any] = json.loads(done.stdout)
    if "error" in result:
        raise DataError(f"{path} is no readable spreadsheet: {result['error']}")
    return result


def _check_unpacked(path: Path, content: bytes) -> None:
    """Raise OverLimit for an archive, as all but .xls are, that says to unpack to more than is read of one file."""
    if not content.startswith(b"PK"):
        return
    unpacking = limits.Unpacking(len(content))
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for member in archive.infolist():
                unpacking.add(member.file_size, member.filename)
    except OverLimit as error:
        raise OverLimit(f"{path}: {error}") from error
    except Exception as error:  # a damaged archive raises almost anything
        raise DataError(f"{path} is no readable spreadsheet: {error}") from error
