"""How the cells of a column are read: `dataset.options.columns`, {column: {type: ..., ...}}.

| type | the cells | what they become |
|---|---|---|
| number | numbers, as people write them (`tables/numbers.py`) | one number |
| time | dates and times (`tables/times.py`) | days, time of day, weekday |
| category | words of a few kinds (`tables/categories.py`) | a number for each word |
| list | numbers in one cell: `[0.1, 0.2]`, `0.1 0.2` | a vector, or the pixels of an image |
| object | an object in one cell: `{"text": "...", "lang": "en"}` | columns called `column.key` |

A column that is not listed holds numbers as Python writes them, or what its modality's kind says.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from umemma.errors import ParameterError, SettingError, unknown
from umemma.settings import Section, section
from umemma.sources.tables import objects
from umemma.sources.tables.categories import Category
from umemma.sources.tables.cells import is_missing, number, shown, structure
from umemma.sources.tables.file import Table
from umemma.sources.tables.numbers import Number
from umemma.sources.tables.times import Time

_LARGEST = float(np.finfo(np.float32).max)


class NumberList(Section):
    """Several numbers in one cell, in brackets or not, between commas, semicolons or blanks; or lists of such lists."""

    type: Literal["list"] = "list"

    def __call__(self, cell: object) -> np.ndarray:
        """Return float32 of one or more axes, NaN for a hole. Raises ValueError if the cell is no list of numbers."""
        values = structure(cell)
        if isinstance(cell, str) and values is None:
            values = list(cell.replace(",", " ").replace(";", " ").split())
        if not isinstance(values, list) or not values:
            raise ValueError(f"{shown(cell)} is no list of numbers")
        return np.array(_nested(values), np.float32)


def _nested(values: Iterable[object]) -> list[object]:
    return [
        _nested(value)
        if isinstance(value, list | tuple | np.ndarray)
        else math.nan
        if is_missing(value)
        else number(value)
        for value in values
    ]


class Object(Section):
    """An object in one cell, native or written as text; each of its keys is a column."""

    type: Literal["object"] = "object"


Reading = Number | Time | Category
TYPES: Mapping[str, type[Number] | type[Time] | type[Category] | type[NumberList] | type[Object]] = {
    "number": Number,
    "time": Time,
    "category": Category,
    "list": NumberList,
    "object": Object,
}


def readings(entries: Mapping[str, object]) -> dict[str, Reading | NumberList | Object]:
    """Validate `dataset.options.columns`. Raises ParameterError naming key, value and choices."""
    result = {}
    for column, entry in entries.items():
        where = f"dataset.options.columns.{column}"
        if not isinstance(entry, Mapping):
            raise ParameterError(f"{where} must be {{type: ...}}, not {entry!r}")
        if (kind := entry.get("type")) not in TYPES:
            raise ParameterError(unknown(f"{where}.type", "type", kind, TYPES))
        try:
            result[str(column)] = section(TYPES[str(kind)], **entry)
        except SettingError as error:
            raise ParameterError(f"{where}: {error}") from error
    return result


def with_objects(table: Table, columns: Mapping[str, Reading | NumberList | Object]) -> Table:
    """Return the table with the columns of type `object` in parts. Raises ParameterError for a column that is not there."""
    texts = [name for name, reading in columns.items() if isinstance(reading, Object)]
    for name in texts:
        table.cells(name, "dataset.options.columns")
    whole = replace(table, columns=objects.written_out(table.path, table.columns, texts)) if texts else table
    for name in columns.keys() - set(texts):
        whole.cells(name, "dataset.options.columns")
    return whole


@dataclass
class Numbers:
    """The numbers of a column: float32 (row, number), NaN where nothing was measured.

    `bad`: rows whose cell cannot be read, and why. `dropped`: rows whose cell could not be read and counts as not
    measured, or says a word that is not listed.
    """

    values: np.ndarray
    bad: dict[int, str] = field(default_factory=dict)
    dropped: list[int] = field(default_factory=list)


def numbers(reading: Reading, cells: Sequence[object], spellings: Collection[str]) -> Numbers:
    """Read a column of single values; `spellings` are those of a missing value in this table, in lower case."""
    if isinstance(reading, Number) and reading.is_plain and not reading.missing:
        return _plain(reading, cells, spellings)
    holes = frozenset(spellings) | {word.strip().casefold() for word in reading.missing}
    result = Numbers(np.full((len(cells), len(reading.names)), np.nan, np.float32))
    known: dict[object, Sequence[float] | str | None] = {}
    for row, cell in enumerate(cells):
        key = cell if isinstance(cell, str) else None
        outcome = known[key] if key in known else _outcome(reading, cell, holes)
        if key is not None:
            known[key] = outcome
        if isinstance(outcome, str):
            _unreadable(reading, result, row, outcome)
        elif outcome is not None:
            result.values[row] = outcome
    if isinstance(reading, Category):
        result.dropped = np.flatnonzero(result.values[:, -1] == 1).tolist()
    return result


def _plain(reading: Number, cells: Sequence[object], spellings: Collection[str]) -> Numbers:
    """Read numbers as Python writes them, the ten million of a large table in seconds."""
    values, odd = np.full(len(cells), np.nan), []
    for row, cell in enumerate(cells):
        try:
            values[row] = float(cell)  # type: ignore[arg-type]
        except (ValueError, TypeError, OverflowError):
            odd.append(row)
            continue
        if isinstance(cell, str) and "_" in cell:
            odd.append(row)
    with np.errstate(invalid="ignore"):
        odd += np.flatnonzero(~(np.abs(values) <= _LARGEST)).tolist()
    values[odd] = np.nan
    result = Numbers(values.astype(np.float32)[:, None])
    for row in sorted(set(odd)):
        outcome = _outcome(reading, cells[row], spellings)
        if isinstance(outcome, str):
            _unreadable(reading, result, row, outcome)
        elif outcome is not None:
            result.values[row] = outcome
    return result


def _outcome(reading: Reading, cell: object, holes: Collection[str]) -> Sequence[float] | str | None:
    """Return the numbers of a cell, None for a hole, or why it cannot be read."""
    if is_missing(cell, holes):
        return None
    try:
        return reading(cell)
    except ValueError as error:
        return str(error)


def _unreadable(reading: Reading, result: Numbers, row: int, why: str) -> None:
    if isinstance(reading, Category) or reading.unreadable == "reject":
        result.bad[row] = why
    else:
        result.dropped.append(row)
