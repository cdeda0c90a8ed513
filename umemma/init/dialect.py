"""Guesses for `umemma init`: how a text table is written - encoding, delimiter, quotes, header, lines that are no rows.

Every guess that differs from the defaults is said and written down as an option; the adapter itself never guesses. Each
dialect is tried on the file; the one under which most lines have the same number of cells is taken.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

from umemma.errors import DataError, some
from umemma.sources.tables import file as table_file
from umemma.sources.tables import spreadsheet
from umemma.sources.tables.cells import is_missing, number, shown, structure
from umemma.sources.tables.file import DELIMITERS, JSON_LINES, RIVALS, Dialect, NotInDialect, Table
from umemma.sources.tables.readings import readings, with_objects
from umemma.sources.tables.text import decoded, likely_encoding

_JUDGED_CHARS = 500_000  # at first; the whole text where it cannot be read as these seem to be written
_MOST_SKIPPED = 20  # lines above the header
_QUOTES: Sequence[Mapping[str, Any]] = ({"quote": '"'}, {"quote": '"', "escape": "\\"}, {"quote": None})
_NAMES = RIVALS | {" ": "blanks"}


@dataclass(frozen=True)
class Opened:
    """A table, the options by which it was read, and sentences about what was guessed."""

    table: Table
    options: dict[str, Any]
    said: Sequence[str]


def opened(file: Path, encoding: str | None = None, sheet: str | None = None) -> Opened:
    """Read a table; `encoding` and `sheet` None: guessed. Raises DataError if it cannot be read."""
    suffix = table_file.format_of(file)
    dialect, said = Dialect(sheet=sheet), list[str]()
    if suffix in spreadsheet.SUFFIXES:
        dialect, said = _sheet(file, sheet)
    if suffix in DELIMITERS or suffix in JSON_LINES:
        content = table_file.content_of(file)
        dialect = Dialect(encoding=encoding or likely_encoding(content))
        text = decoded(file, content, dialect.encoding, "--encoding")
        if encoding is None and dialect.encoding != "utf-8":
            said.append(_about_encoding(text, dialect.encoding))
        if suffix in DELIMITERS:
            dialect = _readable(file, text, DELIMITERS[suffix], dialect.encoding)
            said += _about(dialect)
    differing = {
        field.name: getattr(dialect, field.name)
        for field in fields(Dialect)
        if getattr(dialect, field.name) != field.default
    }
    table = table_file.read(file, dialect)
    objects = {name: {"type": "object"} for name, cells in table.columns.items() if _are_objects(cells)}
    if objects:
        differing["columns"] = objects
        said.append(f"the cells of {some(objects)} are objects written as text; each of their keys is a column")
    return Opened(with_objects(table, readings(objects)), differing, said)


def _sheet(file: Path, given: str | None) -> tuple[Dialect, list[str]]:
    """Return the sheet, named where there are several, and the lines above its header that are only a title."""
    filled = spreadsheet.sheets(file, table_file.content_of(file))
    spreadsheet.check(file, given, filled)
    chosen = given or max(filled, key=lambda name: len(filled[name]))  # the first of equals
    rows = [["" if cell is None else str(cell) for cell in cells] for _, cells in filled[chosen]]
    widths = [sum(cell != "" for cell in cells) for cells in rows]
    above = _num_above([cells[:width] for cells, width in zip(rows, widths, strict=True)], max(widths)) if rows else 0
    said = []
    if len(filled) > 1 and given is None:
        said.append(f"of the sheets {some(filled)} the longest is read, {chosen}; --sheet NAME names another")
    if above:
        said.append(f"the first {filled[chosen][above - 1][0]} rows are left out (skip)")
    skip = filled[chosen][above - 1][0] if above else 0
    return Dialect(sheet=chosen if len(filled) > 1 else None, skip=skip), said


def _are_objects(cells: Sequence[object]) -> bool:
    """Whether every cell is an object that is written as text."""
    if not isinstance(next((cell for cell in cells if not is_missing(cell)), None), str):
        return False
    filled = (cell for cell in cells if not is_missing(cell))
    return all(
        isinstance(cell, str) and cell.lstrip().startswith("{") and isinstance(structure(cell), dict) for cell in filled
    )


def _readable(file: Path, text: str, usual: str, encoding: str) -> Dialect:
    """Return the dialect of the start of a text, or of the whole where the rest cannot be read so."""
    cut = text.rfind("\n", 0, _JUDGED_CHARS) + 1
    if len(text) <= _JUDGED_CHARS or not cut:
        return detected(text, usual, encoding)
    dialect = detected(text[:cut], usual, encoding)
    try:
        table_file.read(file, dialect)
    except DataError:
        return detected(text, usual, encoding)
    return dialect


def detected(sample: str, usual: str, encoding: str) -> Dialect:
    """Return the dialect of a text whose suffix says the delimiter `usual`; the default where none fits better."""
    best: tuple[tuple[float, ...], Dialect, list[list[str]]] | None = None
    for delimiter in dict.fromkeys([usual, *(mark for mark in _NAMES if mark in sample)]):
        for position, quotes in enumerate(_QUOTES):
            if "escape" in quotes and '\\"' not in sample:
                continue
            dialect = Dialect(delimiter=None if delimiter == usual else delimiter, encoding=encoding, **quotes)
            try:
                rows = [cells for _, cells in table_file.csv_rows(sample, delimiter, dialect)]
            except NotInDialect:
                continue
            if (fit := _fit(rows)) is None:
                continue
            share, width, num_above, num_merged = fit
            is_merged = num_merged > 0 and quotes["quote"] is not None
            score = (share, num_above == 0, delimiter != " ", not is_merged, -position, width)
            if best is None or score > best[0]:
                best = (score, dialect, rows)
    if best is None:
        return Dialect(encoding=encoding)
    return _with_header(best[1], sample, best[2])


def _fit(rows: Sequence[Sequence[str]]) -> tuple[float, int, int, int] | None:
    """Return the share of rows with the usual number of cells, that number, rows above the header, cells with line breaks.

    Lines above the header do not count. None where rows have a single cell.
    """
    width, count = Counter(map(len, rows)).most_common(1)[0] if rows else (1, 0)
    if width < 2:
        return None
    above = _num_above(rows, width)
    rows = rows[above:]
    return count / len(rows), width, above, sum("\n" in cell for row in rows for cell in row)


def _num_above(rows: Sequence[Sequence[str]], width: int) -> int:
    """Return the number of rows above the first that has the usual number of cells; 0 where they look like a header."""
    first = next(number for number, cells in enumerate(rows) if len(cells) == width)
    is_title = first <= _MOST_SKIPPED and all(len(cells) <= max(1, width // 2) for cells in rows[:first])
    return first if is_title else 0


def _with_header(dialect: Dialect, text: str, rows: Sequence[Sequence[str]]) -> Dialect:
    """Add the lines above the header, and whether there is one."""
    width = Counter(map(len, rows)).most_common(1)[0][0]
    above = _num_above(rows, width)
    values = {field.name: getattr(dialect, field.name) for field in fields(Dialect)}
    if above:
        lines = text.split("\n")
        filled = [line for line in lines[:200] if line.strip()][:above]
        if all(line.startswith("#") for line in filled):
            values["comment"] = "#"
        else:
            values["skip"] = next(at for at, line in enumerate(lines) if line == filled[-1]) + 1
    values["header"] = _has_header(rows[above:])
    return Dialect(**values)


def _has_header(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row names the columns: it is no data if words stand above numbers, and data if numbers do."""
    if len(rows) < 3:
        return True
    first, others = rows[0], rows[1:200]
    numeric = [
        place
        for place in range(len(first))
        if all(_is_number(row[place]) for row in others if place < len(row) and row[place].strip())
        and any(place < len(row) and row[place].strip() for row in others)
    ]
    above = [first[place].strip() for place in numeric]
    if not above or not all(map(_is_number, above)):
        return True
    if any(
        first[place] in {row[place] for row in others if place < len(row)}
        for place in range(len(first))
        if place not in numeric
    ):
        return False
    if not all(cell.isdecimal() for cell in above):
        return False
    steps = {int(later) - int(earlier) for earlier, later in pairwise(above)}
    return len(set(above)) == len(above) and (len(steps) <= 1 or len(numeric) < len(first))  # years; pandas's 0, 1, 2


def _is_number(cell: str) -> bool:
    try:
        number(cell)
    except ValueError:
        return False
    return True


def _about_encoding(text: str, encoding: str) -> str:
    example = next((line for line in text.splitlines() if not line.isascii()), "")
    return f"the file is read as {encoding}, as in {shown(example.strip())}; --encoding ENCODING names another"


def _about(dialect: Dialect) -> list[str]:
    said = []
    if dialect.delimiter:
        said.append(f"{_NAMES[dialect.delimiter]} between cells (delimiter)")
    if dialect.quote is None:
        said.append("quotation marks are letters like others (quote: null)")
    if dialect.escape:
        said.append("a backslash before quotation marks that are meant (escape)")
    if dialect.comment:
        said.append(f"lines that begin with {dialect.comment} are left out (comment)")
    if dialect.skip:
        said.append(f"the first {dialect.skip} lines are left out (skip)")
    if not dialect.header:
        said.append("the first line is data, no names of columns (header: false)")
    return ["the file is read with " + "; ".join(said)] if said else []
