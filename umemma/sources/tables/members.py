"""The modalities of a table's rows: which are present, and the sample member that each becomes.

A modality whose cells are all missing is missing, which is not an error. A vector with only some numbers missing is an
error of the row, unless `fill` gives a number to replace them with.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from umemma.data.sample import BadSample
from umemma.errors import some
from umemma.sources.tables import paths, series
from umemma.sources.tables.cells import is_missing, number, text
from umemma.sources.tables.file import Table
from umemma.sources.tables.sources import SUFFIXES, Source


@dataclass(frozen=True)
class Folders:
    """Folders of media: paths are relative to `base` and must resolve to below one of `roots` (`paths.real_roots`)."""

    base: Path
    roots: tuple[Path, ...]


class Members:
    """The modalities of every row of `table`; only `member` opens files."""

    def __init__(self, table: Table, sources: Mapping[str, Source], folders: Folders, missing: Collection[str]) -> None:
        self.place, self._sources, self._folders, self._missing = table.place, dict(sources), folders, missing
        columns = {
            name: [table.cells(column, source.where) for column in source.columns] for name, source in sources.items()
        }
        self._cells = {name: cells[0] for name, cells in columns.items() if not sources[name].are_numbers}
        self.bad: dict[int, str] = {}  # rows with an invalid vector, and why
        self._vectors = {
            name: self._vector(sources[name], cells) for name, cells in columns.items() if sources[name].are_numbers
        }
        self.names = tuple(sources)

    def has(self, modality: str, row: int) -> bool:
        """Whether a row has a modality."""
        if modality in self._vectors:
            return not np.isnan(self._vectors[modality][row]).all()
        return not is_missing(self._cells[modality][row], self._missing)

    def member(self, modality: str, row: int) -> tuple[str, bytes]:
        """Return (member name, bytes) of a modality that the row has. Raises BadSample naming file and reason."""
        if modality in self._vectors:
            return f"{modality}.npy", series.npy(self._vectors[modality][row])
        source, cell = self._sources[modality], self._cells[modality][row]
        place = f"{self.place(row)}, {source.columns[0]}"
        if source.inline:
            return f"{modality}.txt", (cell if isinstance(cell, str) else text(cell)).encode()
        if isinstance(cell, list | np.ndarray) and source.kind == "vector":
            return f"{modality}.npy", _listed(cell, place, source.fill)
        suffix, content = _of_file(text(cell), source, self._folders)
        return f"{modality}.{suffix}", content

    def file(self, modality: str, row: int) -> str | None:
        """Return the path, as written in the table, that `member` reads; None if the cell itself is the content."""
        if modality in self._vectors or self._sources[modality].inline:
            return None
        cell = self._cells[modality][row]
        return None if isinstance(cell, list | np.ndarray) else text(cell)

    def digest(self, row: int, group: str) -> str:
        """Return 16 hex digits of a hash of a row's paths, texts and numbers, and its group."""
        plain = []
        for name in self.names:
            cell: object = self._vectors[name][row] if name in self._vectors else self._cells[name][row]
            plain.append(
                [text(item) for item in cell]
                if isinstance(cell, list | np.ndarray)
                else text(cell)
                if self.has(name, row)
                else ""
            )
        return hashlib.sha256(json.dumps([group, plain]).encode()).hexdigest()[:16]

    def files(self, rows: Iterable[int]) -> Iterator[Path]:
        """Yield once each file that `member` would read for these rows, whether or not it exists."""
        seen: set[Path] = set()
        named = [name for name in self._cells if not self._sources[name].inline]
        for row in rows:
            for name in named:
                cell = self._cells[name][row]
                if isinstance(cell, str) and self.has(name, row):
                    try:
                        path = paths.located(text(cell), self._folders.base, self._folders.roots)
                    except BadSample:
                        continue  # `member` will reject it as well, with the reason
                    if path not in seen:
                        seen.add(path)
                        yield path

    def _vector(self, source: Source, columns: Sequence[Sequence[object]]) -> np.ndarray:
        """Return float32 (row, column), NaN in rows where all are missing; record unusable rows in `bad`."""
        values = np.full((len(columns[0]), len(columns)), np.nan, np.float32)
        for position, (name, cells) in enumerate(zip(source.columns, columns, strict=True)):
            for row, cell in enumerate(cells):
                if not is_missing(cell, self._missing):
                    try:
                        values[row, position] = number(cell)
                    except ValueError as error:
                        self.bad.setdefault(row, f"no usable number: in {name}, {error}")
        holes = np.asarray(np.isnan(values))
        partial = holes.any(axis=1, keepdims=True) & ~holes.all(axis=1, keepdims=True)
        if source.fill is not None:
            return np.where(partial & holes, np.float32(source.fill), values)
        for row in np.flatnonzero(partial).tolist():
            lacking = [name for position, name in enumerate(source.columns) if holes[row, position]]
            self.bad.setdefault(
                row,
                f"half a vector: {some(lacking)} of {source.modality} empty, the others "
                f"not; {source.where}.fill may give a number to replace them with",
            )
        return values


def _listed(cell: Sequence[object] | np.ndarray, file: str, fill: float | None) -> bytes:
    try:
        numbers = [np.nan if is_missing(value) else number(value) for value in cell]
    except ValueError as error:
        raise BadSample(file, f"no usable number: {error}") from error
    return series.from_npy(file, series.npy(np.array(numbers, np.float32)), "vector", fill)


def _of_file(named: str, source: Source, folders: Folders) -> tuple[str, bytes]:
    """Return (suffix, bytes) of the file that a cell names; the suffix must be one of the kind's."""
    suffix = Path(named).suffix.lower().removeprefix(".")
    if suffix not in SUFFIXES[source.kind]:
        raise BadSample(
            named,
            f"wrong kind of file: {source.columns[0]} holds {source.kind}, files that end in "
            f"{', '.join(f'.{ending}' for ending in SUFFIXES[source.kind])}",
        )
    content = paths.content(named, folders.base, folders.roots)
    if suffix == "csv":
        return "npy", series.from_csv(named, content, source.fill)
    return suffix, series.from_npy(named, content, source.kind, source.fill) if suffix == "npy" else content
