"""Reads a table - CSV, TSV, Parquet, JSON or a spreadsheet - into columns of cells; errors name the line.

- CSV is read by Python's own reader in strict mode. pandas silently pads a line that is too short, and silently reads
  the rest of the file as one cell after an unclosed quote. How the file is written is a `Dialect`, never guessed here.
- A cell is text in CSV; in Parquet, JSON and spreadsheets it may also be a number, true or false, null, a list or bytes. Times
  are read as ISO text, exact decimals and durations (in seconds) as numbers, and an object becomes columns called
  `column.key` (`tables/objects.py`), so that a table means the same in every format; `cells` interprets it.
- Every row has its position - the line it starts on, or its row in a Parquet file - so that errors can name it.
- The whole table is read into memory, unpacked where it is compressed; the media files that it names are not.
"""

import bz2
import csv
import gzip
import io
import json
import lzma
import shlex
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from umemma import json_text, limits
from umemma.errors import DataError, OverLimit, ParameterError, some, unknown
from umemma.sources.tables import objects, spreadsheet
from umemma.sources.tables.text import decoded

DELIMITERS = {"csv": ",", "tsv": "\t", "tab": "\t", "txt": ",", "data": ",", "dat": ","}
JSON_LINES = ("jsonl", "ndjson", "json")
SUFFIXES = (*DELIMITERS, "parquet", *JSON_LINES, *spreadsheet.SUFFIXES)
UNPACKED: Mapping[str, Callable[[IO[bytes]], limits.SupportsRead]] = {
    "gz": lambda packed: gzip.GzipFile(fileobj=packed),
    "bz2": bz2.BZ2File,
    "xz": lzma.LZMAFile,
}  # of CSV and JSON; `mydata.csv.gz`
RIVALS = {",": "','", ";": "';'", "\t": "a tab", "|": "'|'"}  # other possible delimiters and their names in messages
_NAMED = 5  # positions listed in one error


@dataclass(frozen=True)
class Dialect:
    """How a text table is written: options of `dataset.options` by the same names.

    `delimiter` None: a comma, in .tsv and .tab a tab; a blank stands for one or more. `quote` None: a quotation mark is
    a letter like any other. `escape`: what stands before a quote that is meant literally, where quotes are not doubled.
    `header` False: the first line is data, the columns are called `column 1` and so on. `skip`: lines above the header.
    `comment`: how lines begin that are no rows. `sheet`: of a spreadsheet; None: the first that has any cells.
    """

    delimiter: str | None = None
    quote: str | None = '"'
    escape: str | None = None
    header: bool = True
    skip: int = 0
    comment: str | None = None
    encoding: str = "utf-8"
    sheet: str | None = None

    def __post_init__(self) -> None:
        for name in ("delimiter", "quote", "escape"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, str) or len(value) != 1 or value in "\r\n"):
                raise ParameterError(f"dataset.options.{name} must be one character, not {value!r}")
        if self.delimiter is not None and self.delimiter == self.quote:
            raise ParameterError(
                f"dataset.options.delimiter must be one character other than the quote, not {self.quote!r}"
            )
        if not isinstance(self.header, bool):
            raise ParameterError(f"dataset.options.header must be true or false, not {self.header!r}")
        if isinstance(self.skip, bool) or not isinstance(self.skip, int) or self.skip < 0:
            raise ParameterError(f"dataset.options.skip must be a number of lines, not {self.skip!r}")
        if self.comment is not None and (not isinstance(self.comment, str) or not self.comment):
            raise ParameterError(f"dataset.options.comment must be a text such as '#', not {self.comment!r}")
        if self.sheet is not None and not isinstance(self.sheet, str):
            raise ParameterError(f"dataset.options.sheet must be the name of a sheet, not {self.sheet!r}")


@dataclass(frozen=True)
class Table:
    """Columns by name, each with a cell per row; row `i` starts on line (or is row, or object) `places[i]`."""

    path: Path
    columns: Mapping[str, Sequence[object]]
    places: Sequence[int]
    counted: str = "line"

    def place(self, row: int) -> str:
        """Return a row's position, such as `mydata.csv line 7`."""
        return f"{self.path.name} {self.counted} {self.places[row]}"

    def cells(self, column: str, where: str) -> Sequence[object]:
        """Return a column. Raises ParameterError if it does not exist; `where` is the setting that names it."""
        if column not in self.columns:
            raise ParameterError(unknown(where, f"column of {self.path}", column, self.columns))
        return self.columns[column]


def format_of(path: Path) -> str:
    """Return the suffix that says how a table is written, without that of a compression: `csv` of `mydata.csv.gz`."""
    suffix = path.suffix.lower().removeprefix(".")
    return Path(path.stem).suffix.lower().removeprefix(".") if suffix in UNPACKED else suffix


def stem(path: Path) -> str:
    """Return a table's name without its suffixes."""
    return Path(path.stem).stem if path.suffix.lower().removeprefix(".") in UNPACKED else path.stem


_kept: ContextVar[dict[tuple[Path, Dialect], Table] | None] = ContextVar("kept", default=None)


@contextmanager
def read_once() -> Iterator[None]:
    """Within it `read` reads a file in a dialect once: for work that makes one adapter after the other of the same table."""
    token = _kept.set({})
    try:
        yield
    finally:
        _kept.reset(token)


def read(path: Path, dialect: Dialect = Dialect()) -> Table:
    """Read a table. Raises DataError naming file, line and reason."""
    kept = _kept.get()
    if kept is None:
        return _read(path, dialect)
    if (path, dialect) not in kept:
        kept[path, dialect] = _read(path, dialect)
    return kept[path, dialect]


def _read(path: Path, dialect: Dialect) -> Table:
    written = checked_format(path)
    content = content_of(path)
    if written == "parquet":
        table = _parquet(path, content)
    elif written in spreadsheet.SUFFIXES:
        table = _sheet(path, spreadsheet.rows(path, content, dialect.sheet), dialect)
    elif written in JSON_LINES:
        table = _json(path, decoded(path, content, dialect.encoding))
    else:
        table = _delimited(path, decoded(path, content, dialect.encoding), dialect)
    if not table.places:
        raise DataError(f"{path} has no rows, only the columns {some(table.columns)}")
    return table


def checked_format(path: Path) -> str:
    """Return `format_of` a table. Raises DataError if its name is none of a table."""
    written = format_of(path)
    if written not in SUFFIXES:
        raise DataError(
            f"{path} is no table: its name must end in {', '.join(f'.{one}' for one in SUFFIXES)}{_convert(path)}"
        )
    return written


def _convert(path: Path) -> str:
    """Return the command that makes a table of another program's file, or of a folder, as text to append."""
    csv_file = path.with_suffix(".csv").name
    readers = {".sav": ("spss", "pyreadstat"), ".dta": ("stata", "pandas"), ".feather": ("feather", "pyarrow")}
    if path.is_dir():
        return f". One that names the files of a folder of classes, a row per file: {_listing(path)}"
    if path.suffix.lower() not in readers:
        return ", or one of the text formats compressed as .gz, .bz2 or .xz"
    reader, package = readers[path.suffix.lower()]
    return (
        f". It becomes one by: uv run --with pandas --with {package} python -c "
        f'"import pandas; pandas.read_{reader}({path.name!r}).to_csv({csv_file!r}, index=False)"'
    )


def _listing(folder: Path) -> str:
    """Return the command that lists the files of a folder of folders, each called like a class."""
    return (
        "python -c \"import pathlib; print('file,label'); [print(f'{p},{p.parent.name}') for p in "
        f"sorted(pathlib.Path({folder.name!r}).glob('*/*'))]\" > {shlex.quote(folder.name + '.csv')}"
    )


def content_of(path: Path) -> bytes:
    """Return the bytes of a table, unpacked. Raises DataError if it cannot be read or is empty."""
    packed = path.suffix.lower().removeprefix(".")
    try:
        content = limits.content(path)
    except OverLimit as error:
        raise OverLimit(f"{path}: {error}") from error
    except FileNotFoundError as error:
        beside = [other.name for other in path.parent.glob("*") if other.suffix.lower().removeprefix(".") in SUFFIXES]
        raise DataError(
            unknown(str(path.parent), "table", path.name, beside) if beside else f"{path} does not exist"
        ) from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    if packed in UNPACKED:
        try:
            content = limits.read(UNPACKED[packed](io.BytesIO(content)))
        except OverLimit as error:
            raise OverLimit(f"{path}: {error}") from error
        except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
            raise DataError(f"{path} is no whole .{packed} file: {error}") from error
    if not content.strip():
        raise DataError(f"{path} is empty")
    return content


def _delimited(path: Path, text: str, dialect: Dialect) -> Table:
    delimiter = dialect.delimiter or DELIMITERS[format_of(path)]
    try:
        rows = csv_rows(text, delimiter, dialect)
    except NotInDialect as error:
        raise DataError(f"{path} {error}") from error
    if not rows:
        raise DataError(f"{path} is empty below the {dialect.skip} lines that dataset.options.skip leaves out")
    header, rows = (rows[0][1], rows[1:]) if dialect.header else ([""] * len(rows[0][1]), rows)
    if len(header) == 1:
        first = text.split("\n", 1)[0]
        counts = {name: first.count(mark) for mark, name in RIVALS.items() if mark in first}
        hint = (
            f"its first line holds {max(counts, key=lambda name: counts[name])}, possibly its delimiter "
            "(dataset.options.delimiter)"
            if counts
            else "a table has at least a label and one modality"
        )
        raise DataError(f"{path} has only one column where {delimiter!r} is the delimiter; {hint}")
    limits.check_table(len(rows), len(header), str(path))
    names = column_names(path, header)
    ragged = [f"line {line} has {len(cells)}" for line, cells in rows if len(cells) != len(names)]
    if ragged:
        raise DataError(
            f"{path}: the {'header' if dialect.header else 'first line'} has {len(names)} columns, but {some(ragged, _NAMED)}"
        )
    columns = zip(*(cells for _, cells in rows), strict=True) if rows else ([] for _ in names)
    return Table(path, dict(zip(names, columns, strict=True)), [line for line, _ in rows])


class NotInDialect(ValueError):
    """A text that is not written in a dialect; the message names the line."""


def csv_rows(text: str, delimiter: str, dialect: Dialect) -> list[tuple[int, list[str]]]:
    """Return every non-blank row with the line it starts on. Raises NotInDialect naming the line."""
    return list(records(io.StringIO(text, newline=""), delimiter, dialect))


def records(lines: Iterable[str], delimiter: str, dialect: Dialect) -> Iterator[tuple[int, list[str]]]:
    """Yield what `csv_rows` returns, of lines with their ends. Raises NotInDialect naming the line."""
    limit = csv.field_size_limit(sys.maxsize)  # a cell may hold a long text; validation limits its length
    line = 1
    kept = _Lines(lines, dialect)
    try:
        reader = csv.reader(
            kept,
            delimiter=delimiter,
            quotechar=dialect.quote,
            quoting=csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE,
            escapechar=dialect.escape,
            doublequote=dialect.escape is None,
            skipinitialspace=delimiter == " ",  # columns that are aligned by blanks
            strict=True,
        )
        for cells in reader:
            if cells:
                yield line, cells
            line = reader.line_num + 1
            kept.starts_row = True
    except csv.Error as error:
        raise NotInDialect(
            f"line {line}: {error} (quotes inside a quoted cell are doubled; where they are letters like others, "
            "dataset.options.quote: null says so)"
        ) from error
    finally:
        csv.field_size_limit(limit)


class _Lines(Iterator[str]):
    """The lines of a text, blank in place of those that are no rows; inside a quoted cell every line is text."""

    def __init__(self, lines: Iterable[str], dialect: Dialect) -> None:
        self._lines = enumerate(lines)
        self._skip, self._comment = dialect.skip, dialect.comment
        self.starts_row = True

    def __next__(self) -> str:
        number, line = next(self._lines)
        is_comment = self._comment is not None and self.starts_row and line.startswith(self._comment)
        self.starts_row = False
        return "\n" if number < self._skip or is_comment else line


def column_names(path: Path, header: Sequence[str]) -> list[str]:
    """Strip the names; an unnamed column, such as pandas's index, is named by its number."""
    names = [name.strip() or f"column {number}" for number, name in enumerate(header, start=1)]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise DataError(f"{path}: more than one column is called {some(map(repr, twice), _NAMED)}")
    return names


def _sheet(path: Path, rows: Sequence[tuple[int, Sequence[object]]], dialect: Dialect) -> Table:
    rows = [(number, cells) for number, cells in rows if number > dialect.skip]
    if not rows:
        raise DataError(f"{path} holds no cells" + (f" below row {dialect.skip}" if dialect.skip else ""))
    limits.check_table(len(rows), len(rows[0][1]), str(path))
    first = ["" if cell is None else str(cell) for cell in rows[0][1]]
    header, rows = (first, rows[1:]) if dialect.header else ([""] * len(first), rows)
    columns = list(zip(*(cells for _, cells in rows), strict=True)) if rows else [() for _ in header]
    named = {
        name: cells
        for name, cells, title in zip(column_names(path, header), columns, header, strict=True)
        if title or any(cell is not None for cell in cells)  # a used area may end in columns that are blank
    }
    return Table(path, named, [number for number, _ in rows], "row")


def _json(path: Path, text: str) -> Table:
    """Read JSON lines, or one array of objects."""
    counted = "line"
    if text.lstrip().startswith("["):
        counted, rows = "object", list(enumerate(_json_array(path, text), start=1))
    else:
        rows = [
            (line, json_object(f"{path} line {line}", content))
            for line, content in enumerate(text.split("\n"), 1)
            if content.strip()
        ]
    return Table(path, columns_of(path, [cells for _, cells in rows]), [place for place, _ in rows], counted)


def columns_of(path: Path, rows: Sequence[Mapping[str, object]]) -> dict[str, Sequence[object]]:
    """Return the columns of rows that name their cells. Raises OverLimit before those of a name for each row are made."""
    names = dict.fromkeys(name for cells in rows for name in cells)
    limits.check_table(len(rows), len(names), str(path))
    return objects.as_columns(path, {name: [cells.get(name) for cells in rows] for name in names})


def _json_array(path: Path, text: str) -> list[dict[str, object]]:
    content = _parsed(str(path), text)
    assert isinstance(content, list), "begins with ["
    for number, cells in enumerate(content, start=1):
        if not isinstance(cells, dict):
            raise DataError(f"{path} object {number}: no JSON object, but {json.dumps(cells)[:40]}")
    return content


def json_object(where: str, text: str) -> dict[str, object]:
    """Return the object that a text is. Raises DataError if it is none, or a name in it occurs twice."""
    cells = _parsed(where, text)
    if not isinstance(cells, dict):
        raise DataError(f"{where}: no JSON object, but {text.strip()[:40]!r}")
    return cells


def _parsed(where: str, text: str) -> object:
    def once(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
        if twice := [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]:
            raise ValueError(f"{some(map(repr, twice), _NAMED)} occurs in it twice")
        return dict(pairs)

    try:
        content: object = json_text.parsed(text, "it", once)
        if "\\u" in text:
            json.dumps(content, ensure_ascii=False).encode()  # a lone surrogate cannot be encoded in any file
    except OverLimit as error:
        raise OverLimit(f"{where}: {error}") from error
    except ValueError as error:
        raise DataError(f"{where}: no JSON object: {error}") from error
    return content


def _parquet(path: Path, content: bytes) -> Table:
    from umemma.sources.tables import parquet

    with parquet.readable(path):
        table = parquet.whole(content)
        columns = [arrow_cells(column) for column in table.columns]
    names = column_names(path, table.column_names)
    whole = objects.as_columns(path, dict(zip(names, columns, strict=True)))
    return Table(path, whole, range(1, table.num_rows + 1), "row")


def arrow_cells(column: Any) -> Sequence[object]:
    """Return Python values; lists of numbers (embeddings) as arrays, which take a fifth of the memory."""
    import pyarrow.types as kinds

    kind = column.type
    if (kinds.is_list(kind) or kinds.is_large_list(kind) or kinds.is_fixed_size_list(kind)) and (
        kinds.is_integer(kind.value_type) or kinds.is_floating(kind.value_type)
    ):
        return column.to_numpy()
    plain: Callable[[Any], object] | None = None
    if kinds.is_timestamp(kind) or kinds.is_date(kind) or kinds.is_time(kind):
        plain = _iso
    elif kinds.is_duration(kind):
        plain = _seconds
    elif kinds.is_decimal(kind):
        plain = float
    cells = column.to_pylist()
    return [None if cell is None else plain(cell) for cell in cells] if plain else cells


def _iso(moment: Any) -> str:
    return str(moment.isoformat())


def _seconds(duration: Any) -> float:
    return float(duration.total_seconds())
