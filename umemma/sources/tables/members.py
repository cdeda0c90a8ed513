"""The modalities of a table's rows: which are present, and the sample member that each becomes.

A modality whose cells are all missing is missing, which is not an error. In a vector of which only some numbers are
missing they are NaN, not measured, unless `fill` gives a number to replace them with.
"""

import base64
import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from umemma.data.sample import BadSample
from umemma.errors import DataError, ParameterError
from umemma.media import formats
from umemma.media.kinds import text as media_text
from umemma.sources.tables import paths, readings, series
from umemma.sources.tables.categories import Category
from umemma.sources.tables.cells import is_missing, text
from umemma.sources.tables.file import Table
from umemma.sources.tables.matching import Matching
from umemma.sources.tables.numbers import Number
from umemma.sources.tables.readings import NumberList, Object, Reading
from umemma.sources.tables.sources import SUFFIXES, Source


@dataclass(frozen=True)
class Folders:
    """Folders of media: paths are relative to `base` and must resolve to below one of `roots` (`paths.real_roots`)."""

    base: Path
    roots: tuple[Path, ...]


class Members:
    """The modalities of every row of `table`; only `member` opens files.

    `events` {modality: {key: events}} None: they are read from their tables. `columns` says how cells are read;
    `dropped` {row: {reason: 1}} the cells that could not be read and count as not measured, and the words that count as
    other.
    """

    def __init__(
        self,
        table: Table,
        sources: Mapping[str, Source],
        folders: Folders,
        missing: Collection[str],
        columns: Mapping[str, Reading | NumberList | Object],
        *,
        dead_links_are_holes: bool = False,
        events: Mapping[str, Mapping[str, np.ndarray]] | None = None,
    ) -> None:
        self.place, self._sources, self._folders, self._missing = table.place, dict(sources), folders, missing
        self._columns, self._matching = columns, Matching(folders.base)
        self._dead_links_are_holes, self._dead = dead_links_are_holes, dict[tuple[str, int], bool]()
        self._cells = {
            name: table.cells(source.columns[0], source.where)
            for name, source in sources.items()
            if not source.are_numbers
        }
        self._named = {
            column: table.cells(column, f"{source.where}.path")
            for source in sources.values()
            for template in source.paths
            for column in template.columns - {""}
        }
        self.bad: dict[int, dict[str, str]] = {}  # rows with an invalid vector, and why, by modality
        self.dropped: dict[int, dict[str, int]] = {}
        self._vectors = {name: self._vector(source, table) for name, source in sources.items() if source.are_numbers}
        self._has_number = {name: (~np.isnan(values).all(axis=1)).tolist() for name, values in self._vectors.items()}
        self.names = tuple(sources)
        self._events = (
            {name: source.events.read(folders.base, folders.roots) for name, source in sources.items() if source.events}
            if events is None
            else events
        )

    def has(self, modality: str, row: int) -> bool:
        """Whether a row has a modality."""
        if modality in self._has_number:
            return bool(self._has_number[modality][row])
        if is_missing(self._cells[modality][row], self._missing):
            return False
        if modality in self._events:
            return text(self._cells[modality][row]) in self._events[modality]
        return not (self._dead_links_are_holes and self.is_dead_link(modality, row))

    def is_dead_link(self, modality: str, row: int) -> bool:
        """Whether a row names a file of a modality that does not exist."""
        if self._is_in_tables(modality) or is_missing(self._cells[modality][row], self._missing):
            return False
        if (modality, row) not in self._dead:
            try:
                file = self.file(modality, row)
                is_dead = file is not None and not (
                    paths.located(file, self._folders.base, self._folders.roots).exists()
                )
            except (BadSample, OSError):  # a name that no file can have: `member` says so
                is_dead = False
            self._dead[modality, row] = is_dead
        return self._dead[modality, row]

    def member(self, modality: str, row: int) -> tuple[str, bytes]:
        """Return (member name, bytes) of a modality that the row has. Raises BadSample naming file and reason."""
        if modality in self._vectors:
            return f"{modality}.npy", series.npy(self._vectors[modality][row])
        source, cell = self._sources[modality], self._cells[modality][row]
        if modality in self._events:
            return f"{modality}.events", series.npy(self._events[modality][text(cell)])
        place = f"{self.place(row)}, {source.columns[0]}"
        if source.inline:
            return f"{modality}.txt", (cell if isinstance(cell, str) else text(cell)).encode()
        if (content := embedded(cell)) is not None:
            suffix, content = _of_content(place, content, source)
        elif (file := self.file(modality, row)) is None:
            suffix, content = _of_numbers(cell, place, source)
        else:
            suffix, content = _of_file(file, source, self._folders)
        return f"{modality}.{suffix}", content

    def file(self, modality: str, row: int) -> str | None:
        """Return the path that `member` reads; None if the cell itself is the content.

        Raises BadSample if the path cannot be built from the row's cells.
        """
        source = self._sources[modality]
        if self._is_in_tables(modality) or source.inline:
            return None
        cell = self._cells[modality][row]
        if isinstance(self._columns.get(source.columns[0]), NumberList) or isinstance(cell, list | np.ndarray):
            return None
        if isinstance(cell, Mapping | bytes):
            return None if embedded(cell) is not None or not isinstance(cell, Mapping) else text(cell.get("path"))
        return self._path(source, cell, row)

    def content(self, modality: str, row: int) -> tuple[str, str, bytes] | None:
        """Return path, suffix and bytes of the file that a row names; None if it names none. Raises BadSample."""
        if (file := self.file(modality, row)) is None:
            return None
        return file, *_opened(file, self._sources[modality], self._folders)

    def tables(self) -> tuple[Path, ...]:
        """Return the tables of events."""
        named = {source.events.file for source in self._sources.values() if source.events}
        return tuple(self._folders.base / file for file in sorted(named))

    def _is_in_tables(self, modality: str) -> bool:
        return modality in self._vectors or modality in self._events

    def digest(self, row: int, group: str) -> str:
        """Return 16 hex digits of a hash of a row's paths, texts and numbers, and its group."""
        plain: list[str | list[str]] = []
        for name in self.names:
            cell: object = self._vectors[name][row] if name in self._vectors else self._cells[name][row]
            if (content := _embedded_or_none(cell)) is not None:
                plain.append(hashlib.sha256(content).hexdigest())
            elif isinstance(cell, list | np.ndarray):
                plain.append([text(item) for item in cell])
            else:
                plain.append(text(cell) if self.has(name, row) else "")
        return hashlib.sha256(json.dumps([group, plain]).encode()).hexdigest()[:16]

    def files(self, rows: Iterable[int]) -> Iterator[Path]:
        """Yield once each file that `member` would read for these rows, whether or not it exists."""
        seen: set[Path] = set()
        for row in rows:
            for name in self._cells:
                if not self.has(name, row):
                    continue
                try:
                    if (file := self.file(name, row)) is None:
                        continue
                    path = paths.located(file, self._folders.base, self._folders.roots)
                except BadSample:
                    continue  # `member` will reject it as well, with the reason
                if path not in seen:
                    seen.add(path)
                    yield path

    def _path(self, source: Source, cell: object, row: int) -> str:
        cells = {column: named[row] for column, named in self._named.items()} | {"": cell}
        candidates = [template(cells, self.place(row)) for template in source.paths]
        if source.is_loose:
            candidates = [self._matching(path) for path in candidates]
        return next(
            (path for path in candidates[:-1] if "\0" not in path and (self._folders.base / path).exists()),
            candidates[-1],
        )

    def _vector(self, source: Source, table: Table) -> np.ndarray:
        """Return float32 (row, number), NaN where nothing was measured; record unusable rows in `bad`."""
        blocks = []
        for column in source.columns:
            reading = self._columns.get(column, Number())
            if isinstance(reading, NumberList | Object):
                raise ParameterError(
                    f"dataset.options.columns.{column} is of type {reading.type}, which is no single value; "
                    f"{source.where} must name it as its column, not in columns"
                )
            result = readings.numbers(reading, table.cells(column, source.where), self._missing)
            for row, why in result.bad.items():
                self.bad.setdefault(row, {}).setdefault(source.modality, f"no usable number: in {column}, {why}")
            what = "a rare word in" if isinstance(reading, Category) else "unreadable"
            for row in result.dropped:
                self.dropped.setdefault(row, {})[f"{what} {column}"] = 1
            blocks.append(result.values)
        values = np.concatenate(blocks, axis=1)
        holes = np.isnan(values)
        fill = source.reading.fill if source.reading else None
        if fill is None or not holes.any():
            return values
        return np.where(holes & ~holes.all(axis=1, keepdims=True), np.float32(fill), values)


def embedded(cell: object) -> bytes | None:
    """Return the file that a cell holds: bytes, those of a {bytes, path} as Hugging Face's data sets have it, or {base64}.

    Raises BadSample for what is no base64.
    """
    if isinstance(cell, Mapping) and "base64" in cell:
        try:
            return base64.b64decode(cell["base64"], validate=True)
        except (ValueError, TypeError) as error:
            raise BadSample("base64", f"cannot be read: {error}") from error
    content = cell.get("bytes") if isinstance(cell, Mapping) else cell
    return content if isinstance(content, bytes) and content else None


def _embedded_or_none(cell: object) -> bytes | None:
    try:
        return embedded(cell)
    except BadSample:  # `member` says so
        return None


def _of_numbers(cell: object, place: str, source: Source) -> tuple[str, bytes]:
    """Return (suffix, bytes) of numbers in a cell: an array, or the picture whose pixels they are."""
    try:
        values = NumberList()(cell)
        if source.kind == "image":
            return "png", _picture(values, source)
    except ValueError as error:
        raise BadSample(place, f"no usable number: {error}") from error
    if source.kind == "events":
        return "events", series.npy(_events(place, values))
    if source.reading is None:
        raise BadSample(place, f"a list of numbers is no {source.kind}")
    return "npy", source.reading.of_array(place, values)


def _events(place: str, values: np.ndarray) -> np.ndarray:
    """Return events by time. Raises BadSample unless they are (event, 3)."""
    if values.ndim != 2 or values.shape[1] != 3:
        raise BadSample(place, f"no events: shape {values.shape}, not [time, number of the variable, value] for each")
    return values[values[:, 0].argsort(kind="stable")]


def _picture(values: np.ndarray, source: Source) -> bytes:
    """Return pixels between 0 and 255 as PNG. Raises ValueError if they are not, or too many or too few."""
    from umemma.sources.media_bytes import png

    shape = source.shape or values.shape
    if len(shape) not in (2, 3) or values.size != np.prod(shape) or not values.size:
        raise ValueError(
            f"{values.size} pixels are no image of {' x '.join(map(str, shape))}; {source.where}.shape gives its "
            "[height, width]"
        )
    if not ((values >= 0) & (values <= 255) & (values == np.round(values))).all():
        raise ValueError("pixels must be whole numbers from 0 to 255")
    return png(_without_gray_axis(values.reshape(shape).astype(np.uint8)))


def _without_gray_axis(pixels: np.ndarray) -> np.ndarray:
    """Return (height, width) or (height, width, 2 to 4 channels). Raises ValueError for another number of channels."""
    if pixels.ndim == 2 or pixels.shape[2] in (2, 3, 4):
        return pixels
    if 1 in (pixels.shape[2], pixels.shape[0]):
        return pixels[:, :, 0] if pixels.shape[2] == 1 else pixels[0]
    raise ValueError(f"{' x '.join(map(str, pixels.shape))} are no height, width and channels")


def _of_file(named: str, source: Source, folders: Folders) -> tuple[str, bytes]:
    """Return (suffix, bytes) of the member that the file becomes that a cell names."""
    return _of_bytes(named, *_opened(named, source, folders), source)


def _of_content(place: str, content: bytes, source: Source) -> tuple[str, bytes]:
    """Return the same of a file's content in a cell or a request, which has no name."""
    named = f"{place}.{series.suffix_of(content)}" if source.reading else place
    return _of_bytes(named, _suffix(named, source), content, source)


def _of_bytes(named: str, suffix: str, content: bytes, source: Source) -> tuple[str, bytes]:
    if source.reading:
        return "npy", source.reading.of_file(named, suffix, content)
    return _of_media(named, content, source)


def _opened(named: str, source: Source, folders: Folders) -> tuple[str, bytes]:
    """Return (suffix, bytes) of the file that a cell names."""
    suffix = _suffix(named, source)
    return suffix, paths.content(named, folders.base, folders.roots)


def _suffix(named: str, source: Source) -> str:
    """Return a file's suffix.

    The content of media says what it is; files of numbers, which come in several suffixes, must have one of these.
    """
    suffix = Path(named).suffix.lower().removeprefix(".")
    if source.kind in series.AXES and suffix not in SUFFIXES[source.kind]:
        raise BadSample(
            named,
            f"wrong kind of file: {source.columns[0]} holds {source.kind}, files that end in "
            f"{', '.join(f'.{ending}' for ending in SUFFIXES[source.kind])}",
        )
    return suffix


def _of_media(file: str, content: bytes, source: Source) -> tuple[str, bytes]:
    """Return (suffix, bytes) of a file's content: the suffix of its true format, texts as UTF-8."""
    try:
        suffix = formats.member_suffix(source.kind, content, file)
        return suffix, media_text.as_utf8(content, source.encoding) if source.kind == "text" else content
    except DataError as error:
        raise BadSample(file, str(error)) from error
