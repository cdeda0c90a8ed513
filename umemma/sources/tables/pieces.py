"""Reads a table piece by piece, in memory that does not grow with it, for answers: a row that cannot be read is one too.

The same cells as `file.read` gives. Where that refuses a table for one bad line, here the row has no cells, and the
reason beside it. What makes all that follows uncertain - an open quote, a byte that is no text - stays an error.
Spreadsheets, JSON arrays and compressed tables are read whole, as in training.
"""

import codecs
import itertools
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TypeVar

from umemma import limits
from umemma.errors import DataError, ParameterError
from umemma.sources.tables import file, objects, spreadsheet
from umemma.sources.tables.file import DELIMITERS, JSON_LINES, Dialect, NotInDialect, Table

Line = TypeVar("Line", str, list[str])


@dataclass(frozen=True)
class Piece:
    """Some rows of a table; `broken` {row: reason}: rows of which no cell could be read.

    `has_all_columns`: no later piece has a column that is not here. Of JSON lines, which may leave any out, that is not known.
    """

    table: Table
    broken: dict[int, str] = field(default_factory=dict)
    has_all_columns: bool = True


def pieces(path: Path, dialect: Dialect, num_rows: int) -> Iterator[Piece]:
    """Yield all rows, `num_rows` at a time. Raises DataError naming file and line."""
    written = file.checked_format(path)
    if not path.is_file() or not path.stat().st_size:
        file.content_of(path)  # says what is wrong
    if path.suffix.lower() != f".{written}" or written in spreadsheet.SUFFIXES or _is_array(path, written):
        yield from parts(file.read(path, dialect), num_rows)
    elif written == "parquet":
        yield from _parquet(path, num_rows)
    elif written in JSON_LINES:
        with _text(path, dialect) as lines:
            yield from _json_lines(path, lines, num_rows)
    else:
        with _text(path, dialect) as lines:
            yield from _delimited(path, lines, dialect, num_rows)


def parts(table: Table, num_rows: int) -> Iterator[Piece]:
    """Yield the rows of a table that is in memory."""
    for start in range(0, len(table.places), num_rows):
        part = slice(start, start + num_rows)
        columns = {name: cells[part] for name, cells in table.columns.items()}
        yield Piece(Table(table.path, columns, table.places[part], table.counted))


def _is_array(path: Path, written: str) -> bool:
    if written not in JSON_LINES:
        return False
    with path.open("rb") as stream:
        return stream.read(1_000).lstrip(codecs.BOM_UTF8).lstrip()[:1] == b"["


def _parquet(path: Path, num_rows: int) -> Iterator[Piece]:
    import pyarrow as pa

    from umemma.sources.tables import parquet

    with parquet.readable(path):
        start = 1
        for batch in parquet.batches(path, num_rows):
            names = file.column_names(path, batch.schema.names)
            columns = dict(zip(names, map(file.arrow_cells, pa.table(batch).columns), strict=True))
            whole = objects.as_columns(path, columns)
            yield Piece(Table(path, whole, range(start, start + batch.num_rows), "row"))
            start += batch.num_rows


def _json_lines(path: Path, lines: Iterable[str], num_rows: int) -> Iterator[Piece]:
    written = ((number, line) for number, line in enumerate(lines, 1) if line.strip())
    for part in _parts(written, num_rows):
        rows: list[dict[str, object]] = []
        broken: dict[int, str] = {}
        for row, (_, line) in enumerate(part):
            try:
                rows.append(file.json_object("", line))
            except DataError as error:
                rows.append({})
                broken[row] = str(error).removeprefix(": ")
        table = Table(path, file.columns_of(path, rows), [number for number, _ in part])
        yield Piece(table, broken, has_all_columns=False)


def _delimited(path: Path, lines: Iterable[str], dialect: Dialect, num_rows: int) -> Iterator[Piece]:
    delimiter = dialect.delimiter or DELIMITERS[path.suffix.lower().removeprefix(".")]
    rows = file.records(lines, delimiter, dialect)
    try:
        first = next(rows, None)
        if first is None:
            raise DataError(f"{path} holds no row")
        names = file.column_names(path, first[1] if dialect.header else [""] * len(first[1]))
        for part in _parts(rows if dialect.header else itertools.chain([first], rows), num_rows):
            broken = {
                row: f"it has {len(cells)} cells, and there are {len(names)} columns"
                for row, (_, cells) in enumerate(part)
                if len(cells) != len(names)
            }
            limits.check_table(len(part), len(names), str(path))
            kept = [[""] * len(names) if row in broken else cells for row, (_, cells) in enumerate(part)]
            columns = dict(zip(names, zip(*kept, strict=True), strict=True))
            yield Piece(Table(path, columns, [line for line, _ in part]), broken)
    except NotInDialect as error:
        raise DataError(f"{path} {error}") from error


@contextmanager
def _text(path: Path, dialect: Dialect) -> Iterator[IO[str]]:
    try:
        name = codecs.lookup(dialect.encoding).name
        with path.open(encoding="utf-8-sig" if name == "utf-8" else name, newline="") as stream:
            yield stream
    except LookupError as error:
        raise ParameterError(f"no encoding is called {dialect.encoding!r}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no {dialect.encoding}: {error.reason}; save it as that") from error


def _parts(rows: Iterable[tuple[int, Line]], num_rows: int) -> Iterator[Sequence[tuple[int, Line]]]:
    rows = iter(rows)
    while part := list(itertools.islice(rows, num_rows)):
        yield part
