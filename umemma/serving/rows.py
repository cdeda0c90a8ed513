"""Rows to be answered, from a DataFrame, dictionaries, a table or a folder, piece by piece; and what is said of their columns.

A folder holds files by modality, `image/17.png` and `audio/17.wav`, or by name, `17.image.png` and `17.audio.wav`: what
has one name is one row.
"""

import difflib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from umemma import limits
from umemma.errors import DataError, some
from umemma.serving.reader import Reader
from umemma.sources.tables import pieces
from umemma.sources.tables.file import Dialect, Table
from umemma.sources.tables.members import Folders
from umemma.sources.tables.paths import real_roots
from umemma.sources.tables.pieces import Piece
from umemma.sources.tables.sources import SUFFIXES, Source

Rows = Any  # a path, a pandas.DataFrame, or a sequence of mappings


def read(rows: Rows, reader: Reader, rows_at_once: int) -> Iterator[Piece]:
    """Yield the rows in pieces. Raises DataError for what holds no rows, is no table, or is over a limit."""
    found = _pieces(rows, reader, rows_at_once)
    while True:
        with limits.within(reader.inputs.limits):  # not around a `yield`: they would hold for whoever takes the piece
            piece = next(found, None)
        if piece is None:
            return
        yield piece


def _pieces(rows: Rows, reader: Reader, rows_at_once: int) -> Iterator[Piece]:
    if isinstance(rows, str | Path):
        path = Path(rows)
        if path.is_dir():
            yield from _of_mappings(_folder(path, reader), rows_at_once, path)
        else:
            yield from pieces.pieces(path, Dialect(**reader.inputs.dialect), rows_at_once)
    elif hasattr(rows, "columns") and hasattr(rows, "iloc"):
        columns = {str(name): [_plain(cell) for cell in rows[name]] for name in rows.columns}
        yield from _checked(Table(Path("rows"), columns, range(1, len(rows) + 1), "row"), rows_at_once)
    elif isinstance(rows, Sequence) and all(isinstance(row, Mapping) for row in rows):
        yield from _of_mappings(rows, rows_at_once, Path("rows"))
    else:
        raise DataError(f"rows are a path, a pandas.DataFrame or a list of dictionaries, not {type(rows).__name__}")


def folders(rows: Rows, media: str | Path | None) -> Folders:
    """Return where files named in the rows may be: below `media`, else the folder of a table; of rows in memory nowhere."""
    if media is None and not isinstance(rows, str | Path):
        return Folders(Path.cwd(), ())
    base = Path(media or rows)
    base = base if base.is_dir() or media is not None else base.parent
    return Folders(base, real_roots(base, ()))


class Remarks:
    """Says once what is to be said of columns: which are not there, and which unknown ones may be meant."""

    def __init__(self, reader: Reader, say: Callable[[str], None]) -> None:
        self._reader, self._say = reader, say
        self._seen: set[str] = set()
        self._said: set[str] = set()

    def on(self, columns: Iterable[str], *, are_all: bool) -> None:
        """Look at the columns of a piece; `are_all`: a later one has no others.

        Raises DataError where there are columns, and none is known.
        """
        columns = list(columns)
        self._seen |= set(columns)
        unknown, absent = self._unknown(columns), self._absent(columns)
        if columns and len(unknown) == len(columns):
            raise DataError(
                f"there is no column that the model reads: it takes {some(_described(self._reader), 8)}; there are "
                f"{some(columns, 8)}" + _meant(sorted(unknown), [name for names in absent.values() for name in names])
            )
        missing = [name for names in absent.values() for name in names]
        for column in sorted(unknown):
            if matches := difflib.get_close_matches(column, missing, n=1, cutoff=0.7):
                self._once(f"column {column!r} is not read: did you mean {matches[0]!r}?")
        if are_all:
            self.end()

    def end(self) -> None:
        """Say which columns were in no piece."""
        for name, lacking in self._absent(self._seen).items():
            if len(lacking) == len(self._reader.columns[name]):
                self._once(f"no column {some(lacking)}: every row is answered without {name}")
            elif lacking:
                self._once(f"no column {some(lacking)}: these numbers of {name} count as not measured")

    def _absent(self, columns: Collection[str]) -> dict[str, list[str]]:
        return {
            name: [column for column in wanted if column not in columns]
            for name, wanted in self._reader.columns.items()
        }

    def _unknown(self, columns: Iterable[str]) -> set[str]:
        inputs = self._reader.inputs
        known = {column for wanted in self._reader.columns.values() for column in wanted}
        return set(columns) - known - {*inputs.known, inputs.key, inputs.group}

    def _once(self, sentence: str) -> None:
        if sentence not in self._said:
            self._said.add(sentence)
            self._say(sentence)


def _meant(unknown: Sequence[str], wanted: Sequence[str]) -> str:
    pairs = [(column, difflib.get_close_matches(column, wanted, n=1, cutoff=0.7)) for column in unknown]
    return "".join(f"; did you mean {found[0]!r} by {column!r}?" for column, found in pairs if found)


def _described(reader: Reader) -> list[str]:
    return [f"{some(columns, 3)} ({reader.sources[name].kind})" for name, columns in reader.columns.items()]


def _of_mappings(rows: Sequence[Mapping[str, object]], rows_at_once: int, path: Path) -> Iterator[Piece]:
    names = list(dict.fromkeys(str(name) for row in rows for name in row))
    columns = {name: [_plain(row.get(name)) for row in rows] for name in names}
    yield from _checked(Table(path, columns, range(1, len(rows) + 1), "row"), rows_at_once)


def _checked(table: Table, rows_at_once: int) -> Iterator[Piece]:
    if not table.places:
        raise DataError("there are no rows to answer")
    yield from pieces.parts(table, rows_at_once)


def _plain(cell: object) -> object:
    """Return a cell as a table's reader would: times as text, numbers as Python's, None for pandas' holes."""
    if type(cell).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(cell, Path):
        return str(cell)
    if hasattr(cell, "isoformat"):
        return cell.isoformat()
    if hasattr(cell, "detach"):  # a torch.Tensor
        return cell.detach().cpu().numpy()
    return cell.item() if hasattr(cell, "item") and getattr(cell, "ndim", None) == 0 else cell


def _folder(folder: Path, reader: Reader) -> list[dict[str, object]]:
    """Return a row for each name; only modalities that are read from one column can be files."""
    single = {name: one for name, one in reader.sources.items() if not one.are_numbers and one.events is None}
    rows: dict[str, dict[str, object]] = {}
    key = reader.inputs.key or "key"
    for name, one in single.items():
        for path in _files(folder, name, one):
            stem = path.stem.removesuffix(f".{name}")
            rows.setdefault(stem, {key: stem})[one.columns[0]] = _cell(path, folder, one)
    if not rows:
        raise DataError(
            f"{folder} holds no rows: files are in folders called {some(single)}, or are called as in 17.{next(iter(single), 'image')}.png"
        )
    return [rows[stem] for stem in sorted(rows)]


def _files(folder: Path, name: str, one: Source) -> list[Path]:
    suffixes = {f".{suffix}" for suffix in (*SUFFIXES[one.kind], *(("events", "npy") if one.kind == "events" else ()))}
    inside = folder / name
    found = (
        inside.iterdir() if inside.is_dir() else (path for path in folder.iterdir() if path.stem.endswith(f".{name}"))
    )
    return sorted(path for path in found if path.suffix.lower() in suffixes and path.is_file())


def _cell(path: Path, folder: Path, one: Source) -> object:
    return path.read_text("utf-8", "replace") if one.inline else path.relative_to(folder).as_posix()
