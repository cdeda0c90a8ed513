"""Series in files of lines, as programs write them: a line for every step, a column for every channel.

How they are written is said by settings, never guessed from one file: a first line `0,1,2` may be a header or a step, and
`1,5` one number or two. `umemma init` looks at several files and writes the settings down.
"""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from umemma import limits
from umemma.data.sample import BadSample
from umemma.errors import OverLimit
from umemma.settings import Positive, Section
from umemma.sources.tables import parquet, resampling, times
from umemma.sources.tables.cells import is_missing
from umemma.sources.tables.numbers import Number

SUFFIXES = ("csv", "tsv", "dat", "txt")


def _of_parquet(content: bytes) -> Any:
    return parquet.whole(content).to_pandas()


def _of_feather(content: bytes) -> Any:
    from pandas import read_feather

    return read_feather(io.BytesIO(content))


FRAMES: Mapping[str, Callable[[bytes], Any]] = {"parquet": _of_parquet, "feather": _of_feather}  # a pandas.DataFrame
UNITS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
Place = str | int
_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), 1e-6


class Recording(Section):
    """How the files of a series are written: `dataset.options.modalities.<modality>.recording`."""

    encoding: str = "utf-8"
    """Of text."""
    separator: str | None = None
    """Between columns, " " for any number of blanks; null: a tab, else a semicolon, else a comma, if the first line has it."""
    decimal: Literal[".", ","] = "."
    """The decimal mark."""
    comment: str = ""
    """What lines start with that are passed over."""
    line_end: str = ""
    """What every line ends with, before its end; it is cut off."""
    header: Annotated[int, Field(ge=0)] | None = None
    """Lines before the first step; the first that is as wide as a step names the columns. Null: one, if it is words."""
    skip: Sequence[Place] = ()
    """Columns that are no channel, by name or by place from 0: an index, words."""
    time: Place | None = None
    """The column of time, by name or by place from 0; it is no channel."""
    unit: str = "s"
    """Of time: ns, us, ms, s, min, h; `iso` for 2024-05-31T13:45:00.5; else as in Python's strptime."""
    rate_hz: Positive | None = None
    """Steps are brought to this rate by their times; null: they are taken as they follow each other."""

    def from_text(self, named: str, content: bytes) -> np.ndarray:
        """Return float32 (step, channel), NaN where a cell is empty. Raises BadSample naming line and value."""
        rows = self._rows(named, content)
        num_header = self.header
        if num_header is None:
            num_header = 1 if rows and is_header(rows[0][1]) else 0
        header, rows = rows[:num_header], rows[num_header:]
        if not rows:
            raise BadSample(named, "holds no numbers")
        first, width = rows[0][0], len(rows[0][1])
        _check(named, len(rows) * width)
        rows = [(line, [""] * width if cells == [""] else cells) for line, cells in rows]
        for line, cells in rows:
            if len(cells) != width:
                raise BadSample(named, f"ragged rows: line {line} has {len(cells)} values, line {first} {width}")
        names = [cell.strip() for cell in header_names([cells for _, cells in header], width)]
        columns = [[cells[place] for _, cells in rows] for place in range(width)]
        return self._series(named, columns, names, lambda step: f"line {rows[step][0]}")

    def from_frame(self, named: str, content: bytes, read: Callable[[bytes], Any]) -> np.ndarray:
        """Return the same of a Parquet or Feather file, read by this function of `FRAMES`."""
        try:
            frame = read(content)
        except OverLimit as error:
            raise BadSample(named, str(error)) from error
        except Exception as error:  # pyarrow's errors have no common class
            raise BadSample(named, f"no readable {_suffix(named)} file: {error}") from error
        if not len(frame):
            raise BadSample(named, "holds no numbers")
        _check(named, frame.size)
        columns = [frame[name].tolist() for name in frame.columns]
        return self._series(named, columns, [str(name) for name in frame.columns], lambda step: f"row {step + 1}")

    def _series(
        self, named: str, columns: Sequence[Sequence[object]], names: Sequence[str], place_of: Callable[[int], str]
    ) -> np.ndarray:
        time = None if self.time is None else self._place(named, self.time, names, len(columns))
        left_out = {self._place(named, column, names, len(columns)) for column in self.skip} | {time}
        channels = [place for place in range(len(columns)) if place not in left_out]
        if not channels:
            raise BadSample(named, "holds no channel: all of its columns are left out")
        values = np.full((len(columns[0]), len(channels)), np.nan, np.float32)
        read = Number(decimal=self.decimal)
        for channel, place in enumerate(channels):
            for step, cell in enumerate(columns[place]):
                if not is_missing(cell):
                    try:
                        (values[step, channel],) = read(cell)
                    except ValueError as error:
                        raise BadSample(named, f"no usable number: {place_of(step)}, {error}") from error
        if time is None or self.rate_hz is None:
            return values
        seconds = self._seconds(named, columns[time], place_of)
        if span := seconds[-1] - seconds[0]:
            highest_hz = max(self.rate_hz, resampling.rate(seconds))  # on the way there they are at their own rate
            _check(named, span * highest_hz * len(channels))
        return resampling.at_rate(seconds, values, self.rate_hz)

    def _seconds(self, named: str, cells: Sequence[object], place_of: Callable[[int], str]) -> np.ndarray:
        """Return the times from the first on: milliseconds since 1970, divided by 1,000, are no multiples of a step."""
        written = np.zeros(len(cells))
        for step, cell in enumerate(cells):
            try:
                written[step] = self._written(cell)
            except ValueError as error:
                raise BadSample(named, f"no usable time: {place_of(step)}, {error}") from error
        if len(back := np.flatnonzero(np.diff(written) < 0)):
            raise BadSample(named, f"time goes back: in {place_of(int(back[0]) + 1)}")
        return (written - written[:1]) * UNITS.get(self.unit, _MICROSECOND)

    def seconds(self, cell: object) -> float:
        """Return a time in seconds since whenever. Raises ValueError if the cell is none."""
        return self._written(cell) * UNITS.get(self.unit, _MICROSECOND)

    def _written(self, cell: object) -> float:
        """Return a number as it stands, a date in whole microseconds since 1970, which a float holds exactly."""
        if self.unit in UNITS:
            (time,) = Number(decimal=self.decimal)(cell)
            return time
        moment = times.read(cell, self.unit)
        return (moment.replace(tzinfo=moment.tzinfo or UTC) - _EPOCH) / timedelta(microseconds=1)

    def _place(self, named: str, column: Place, names: Sequence[str], width: int) -> int:
        if isinstance(column, str) and column in names:
            return list(names).index(column)
        if isinstance(column, int) and 0 <= column < width:
            return column
        raise BadSample(named, f"no such column: {column!r}; there are {', '.join(names) or f'{width}, from 0 on'}")

    def _rows(self, named: str, content: bytes) -> list[tuple[int, list[str]]]:
        """Return (line, cells). An empty line is a step without a value, except at the start and end."""
        try:
            text = content.decode("utf-8-sig" if self.encoding == "utf-8" else self.encoding)
        except (UnicodeDecodeError, LookupError) as error:
            raise BadSample(
                named, f"no readable {_suffix(named)} file: {error}; `recording.encoding` names another"
            ) from error
        try:
            rows = list(self.cells(text))
        except csv.Error as error:
            raise BadSample(named, f"no readable {_suffix(named)} file: {error}") from error
        for end in (0, -1):
            while rows and rows[end][1] == [""]:
                del rows[end]
        return rows

    def cells(self, text: str) -> "Sequence[tuple[int, list[str]]]":
        """Return (line, cells) of the lines of a text, comments left out. Raises csv.Error for an open quote."""
        lines = [line.rstrip("\r") for line in text.split("\n")]
        kept = [
            (number, line.rstrip().removesuffix(self.line_end) if self.line_end else line)
            for number, line in enumerate(lines, start=1)
            if not (self.comment and line.lstrip().startswith(self.comment))
        ]
        if self.separator == " ":
            return [(number, line.split() or [""]) for number, line in kept]
        first = next((line for _, line in kept if line.strip()), "")
        separator = self.separator or next((mark for mark in "\t;" if mark in first), ",")
        reader = csv.reader((line for _, line in kept), delimiter=separator, strict=True)
        return [(kept[reader.line_num - 1][0], cells or [""]) for cells in reader]


def _check(named: str, num_values: float) -> None:
    """Raise BadSample for a series of more numbers than are read: two lines, a year apart, are many at 1,000 Hz."""
    try:
        limits.check("array_values", num_values, "the series")
    except OverLimit as error:
        raise BadSample(named, str(error)) from error


def _suffix(named: str) -> str:
    return PurePosixPath(named).suffix


def header_names(lines: Sequence[Sequence[str]], width: int) -> Sequence[str]:
    """Return the first of a header's lines that has a cell for every column; empty if none has."""
    return next((cells for cells in lines if len(cells) == width), ())


def is_header(cells: Sequence[str]) -> bool:
    """Whether a line has words only. NaN and infinity are not words, nor is 1,5: it is an invalid number."""
    words = [cell.strip() for cell in cells if cell.strip()]
    return bool(words) and all(
        any(letter.isalpha() for letter in word) and not is_missing(word) and not _is_number(word) for word in words
    )


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
