"""Reads a table - CSV, TSV, Parquet or JSON lines - into columns of cells; errors name the line.

- CSV is read by Python's own reader in strict mode. pandas silently pads a line that is too short, and silently reads
  the rest of the file as one cell after an unclosed quote.
- A cell is text in CSV; in Parquet and JSON lines it may also be a number, true or false, null or a list. `cells`
  interprets it, so that a table means the same in every format.
- Every row has its position - the line it starts on, or its row in a Parquet file - so that errors can name it.
- The whole table is read into memory; the media files that it names are not.
"""

import csv
import io
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from umemma.errors import DataError, ParameterError, some, unknown
from umemma.sources.tables.text import decoded

DELIMITERS = {"csv": ",", "tsv": "\t"}
JSON_LINES = ("jsonl", "ndjson", "json")
SUFFIXES = (*DELIMITERS, "parquet", *JSON_LINES)
_RIVALS = {",": "','", ";": "';'", "\t": "a tab", "|": "'|'"}  # other possible delimiters and their names in messages
_NAMED = 5  # positions listed in one error


@dataclass(frozen=True)
class Table:
    """Columns by name, each with a cell per row; row `i` starts on line (in Parquet: is row) `places[i]`."""

    path: Path
    columns: Mapping[str, Sequence[object]]
    places: Sequence[int]

    def place(self, row: int) -> str:
        """Return a row's position, such as `mydata.csv line 7`."""
        return f"{self.path.name} {'row' if self.path.suffix.lower() == '.parquet' else 'line'} {self.places[row]}"

    def cells(self, column: str, where: str) -> Sequence[object]:
        """Return a column. Raises ParameterError if it does not exist; `where` is the setting that names it."""
        if column not in self.columns:
            raise ParameterError(unknown(where, f"column of {self.path}", column, self.columns))
        return self.columns[column]


def read(path: Path, *, delimiter: str | None = None, encoding: str = "utf-8") -> Table:
    """Read a table; `delimiter` None: a comma in .csv, a tab in .tsv. Raises DataError naming file, line and reason."""
    suffix = path.suffix.lower().removeprefix(".")
    if suffix not in SUFFIXES:
        raise DataError(
            f"{path} is no table: its name must end in {', '.join(f'.{ending}' for ending in SUFFIXES)} "
            "(a spreadsheet can be saved as .csv)"
        )
    content = _content(path)
    if suffix == "parquet":
        table = _parquet(path, content)
    elif suffix in JSON_LINES:
        table = _json_lines(path, decoded(path, content, encoding))
    else:
        table = _delimited(path, decoded(path, content, encoding), delimiter or DELIMITERS[suffix])
    if not table.places:
        raise DataError(f"{path} has no rows, only the columns {some(table.columns)}")
    return table


def likely_delimiter(path: Path, encoding: str = "utf-8") -> str:
    """Guess the delimiter of a text table: the candidate that is most frequent in the header."""
    header = decoded(path, _content(path), encoding).split("\n", 1)[0]
    usual = DELIMITERS[path.suffix.lower().removeprefix(".")]
    return max(dict.fromkeys([usual, *_RIVALS]), key=header.count)


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        beside = [other.name for other in path.parent.glob("*") if other.suffix.lower().removeprefix(".") in SUFFIXES]
        raise DataError(
            unknown(str(path.parent), "table", path.name, beside) if beside else f"{path} does not exist"
        ) from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    if not content.strip():
        raise DataError(f"{path} is empty")
    return content


def _delimited(path: Path, text: str, delimiter: str) -> Table:
    header, rows = _csv_rows(path, text, delimiter)
    if len(header) == 1:
        counts = {name: header[0].count(mark) for mark, name in _RIVALS.items() if mark in header[0]}
        hint = (
            f"its first line holds {max(counts, key=lambda name: counts[name])}, possibly its delimiter "
            "(dataset.options.delimiter)"
            if counts
            else "a table has at least a label and one modality"
        )
        raise DataError(f"{path} has only one column where {delimiter!r} is the delimiter; {hint}")
    names = _column_names(path, header)
    ragged = [f"line {line} has {len(cells)}" for line, cells in rows if len(cells) != len(names)]
    if ragged:
        raise DataError(f"{path}: the header has {len(names)} columns, but {some(ragged, _NAMED)}")
    columns = zip(*(cells for _, cells in rows), strict=True) if rows else ([] for _ in names)
    return Table(path, dict(zip(names, columns, strict=True)), [line for line, _ in rows])


def _csv_rows(path: Path, text: str, delimiter: str) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the header, and every other non-blank row with the line it starts on."""
    if len(delimiter) != 1 or delimiter in '\r\n"':
        raise ParameterError(f"dataset.options.delimiter must be one character, not {delimiter!r}")
    limit = csv.field_size_limit(sys.maxsize)  # a cell may hold a long text; validation limits its length
    rows, line = [], 1
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        for cells in reader:
            if cells:
                rows.append((line, cells))
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path} line {line}: {error} (quotes inside a quoted cell are doubled)") from error
    finally:
        csv.field_size_limit(limit)
    return rows[0][1], rows[1:]


def _column_names(path: Path, header: Sequence[str]) -> list[str]:
    """Strip the names; an unnamed column, such as pandas's index, is named by its number."""
    names = [name.strip() or f"column {number}" for number, name in enumerate(header, start=1)]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise DataError(f"{path}: more than one column is called {some(map(repr, twice), _NAMED)}")
    return names


def _json_lines(path: Path, text: str) -> Table:
    if text.lstrip().startswith("["):
        raise DataError(f"{path} is one JSON array; what is read is a JSON object on every line (JSON lines)")
    rows = [
        (line, _json_object(path, line, content)) for line, content in enumerate(text.split("\n"), 1) if content.strip()
    ]
    names = dict.fromkeys(name for _, cells in rows for name in cells)
    return Table(path, {name: [cells.get(name) for _, cells in rows] for name in names}, [line for line, _ in rows])


def _json_object(path: Path, line: int, text: str) -> dict[str, object]:
    def once(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
        if twice := [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]:
            raise ValueError(f"{some(map(repr, twice), _NAMED)} occurs in it twice")
        return dict(pairs)

    try:
        cells = json.loads(text, object_pairs_hook=once)
        if "\\u" in text:
            json.dumps(cells, ensure_ascii=False).encode()  # a lone surrogate cannot be encoded in any file
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} line {line}: no JSON object: {error}") from error
    if not isinstance(cells, dict):
        raise DataError(f"{path} line {line}: no JSON object, but {text.strip()[:40]!r}")
    return cells


def _parquet(path: Path, content: bytes) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(pa.BufferReader(content)).read()
        columns = [_arrow_cells(column) for column in table.columns]
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is no readable Parquet file: {error}") from error
    names = _column_names(path, table.column_names)
    return Table(path, dict(zip(names, columns, strict=True)), range(1, table.num_rows + 1))


def _arrow_cells(column: Any) -> Sequence[object]:
    """Return Python values; lists of numbers (embeddings) as arrays, which take a fifth of the memory."""
    import pyarrow.types as kinds

    kind = column.type
    if (kinds.is_list(kind) or kinds.is_large_list(kind) or kinds.is_fixed_size_list(kind)) and (
        kinds.is_integer(kind.value_type) or kinds.is_floating(kind.value_type)
    ):
        return column.to_numpy()
    return column.to_pylist()
