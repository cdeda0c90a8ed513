r"""Sensors that were read at the same times: a table with a row per time step, cut into windows; each window is a sample.

`dataset.options`; the first four are required:

- `file`: the table (CSV, TSV, Parquet or JSON lines), relative to the root, or a list of places where it may lie.
- `label`: the column of the class. A window has the label of its last step, as a monitor would be asked for it.
- `modalities`: {name: [columns]}; an empty cell is a number that was not measured. A window in which none of a
  modality's numbers was measured lacks it.
- `window`: {steps, stride}, both in rows.
- `recording`: columns whose change ends a recording, such as driver and trip. No window crosses the end of one.
- `time`: one column, or a date and a time, and `max_pause_seconds`: a longer pause, or time that goes back, ends a
  recording. Numbers are seconds.
- `split`: {column: driver, val: [D4], test: [D5, D6]}, the column's other values being train; or {shares, block_steps}:
  recordings are cut into blocks of so many rows, and blocks are drawn by `seed`, stratified by class
  (`tables/splits.py`). Windows of a block overlap, so a block is a group, and no window crosses its end: neighbouring
  windows of two splits share no row. Blocks side by side are still alike; a split by column is the harder test.
- `unlabelled`: `error`, or `drop` the windows whose last step has no label; they are counted in the quarantine.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from umemma.data.sample import SPLITS, Rejected, Sample
from umemma.errors import DataError, ParameterError, some, unknown
from umemma.sources.tables import cells, splits
from umemma.sources.tables import file as table_file
from umemma.sources.tables.file import Table
from umemma.sources.tables.series import npy


@dataclass(frozen=True)
class _Window:
    start: int
    key: str
    group: str
    label: int


class Adapter:
    """Random access to the windows. Raises ParameterError or DataError naming the option, the column or the line."""

    def __init__(
        self,
        root: Path,
        *,
        classes: Sequence[str],
        file: str | Sequence[str],
        label: str,
        modalities: Mapping[str, Sequence[str]],
        window: Mapping[str, int],
        split: Mapping[str, object],
        recording: Sequence[str] = (),
        time: str | Sequence[str] | None = None,
        max_pause_seconds: float | None = None,
        unlabelled: str = "error",
        seed: int = 0,
        delimiter: str | None = None,
        encoding: str = "utf-8",
    ) -> None:
        if unlabelled not in ("error", "drop"):
            raise ParameterError(unknown("dataset.options.unlabelled", "choice", unlabelled, ("error", "drop")))
        self._steps, stride = _whole(window, "window", "steps"), _whole(window, "window", "stride")
        path = _located(root, [file] if isinstance(file, str) else file)
        self._table = table_file.read(path, table_file.Dialect(delimiter=delimiter, encoding=encoding))
        self.modalities, self.lists = tuple(modalities), (path,)
        self._values = {name: _numbers(self._table, name, columns) for name, columns in modalities.items()}
        labels = _labels(self._table, label, classes)
        ends = _ends(self._table, recording, time, max_pause_seconds)
        blocks = _blocks(ends, _whole(split, "split", "block_steps") if "block_steps" in split else None)
        windows = [
            _Window(start, f"{path.stem}-{start:07d}", f"{first:07d}", labels[start + self._steps - 1])
            for first, last in blocks
            for start in range(first, last - self._steps + 1, stride)
        ]
        usable = [one for one in windows if one.label >= 0]
        if not usable:
            raise DataError(f"{path}: no recording or block is {self._steps} steps long and labelled")
        if len(usable) < len(windows) and unlabelled == "error":
            bad = next(one for one in windows if one.label < 0)
            raise DataError(
                f"{self._table.place(bad.start + self._steps - 1)}: the cell of {label} is empty; "
                "dataset.options.unlabelled=drop leaves such windows out"
            )
        parts = _split_of(self._table, usable, split, seed)
        self._windows = {
            name: [one for one, part in zip(usable, parts, strict=True) if part == name] for name in SPLITS
        }
        self.num_samples: Mapping[str, int] = {name: len(part) for name, part in self._windows.items()}
        self.rejected = [
            Rejected(one.key, "", f"{path}", f"its label is empty: {self._table.place(one.start + self._steps - 1)}")
            for one in windows
            if one.label < 0
        ]

    def sample(self, split: str, index: int) -> Sample:
        """Return window `index` of `split`: (step, channel) of each modality, NaN where nothing was measured."""
        window = self._windows[split][index]
        cut = {name: values[window.start : window.start + self._steps] for name, values in self._values.items()}
        members = {f"{name}.npy": npy(values) for name, values in cut.items() if not np.isnan(values).all()}
        place = f"{self._table.path}:{self._table.places[window.start]}"
        return Sample(window.key, split, window.label, window.group, members, dict.fromkeys(members, place))


def _whole(given: Mapping[str, object], option: str, key: str) -> int:
    value = given.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ParameterError(f"dataset.options.{option}.{key} must be a whole number of rows above 0, not {value!r}")
    return value


def _located(root: Path, files: Sequence[str]) -> Path:
    for name in files:
        if (root / name).is_file():
            return root / name
    raise DataError(
        f"{root} holds no {' or '.join(files)}; dataset.root, or else the variable UMEMMA_DATA, names the folder that does"
    )


def _numbers(table: Table, modality: str, columns: Sequence[str]) -> np.ndarray:
    """Return (row, channel) float32."""
    where = f"dataset.options.modalities.{modality}"
    if isinstance(columns, str) or not columns:
        raise ParameterError(f"{where} must be a list of columns, not {columns!r}")
    values = np.full((len(table.places), len(columns)), np.nan, np.float32)
    for channel, column in enumerate(columns):
        for row, cell in enumerate(table.cells(column, where)):
            if not cells.is_missing(cell):
                try:
                    values[row, channel] = cells.number(cell)
                except ValueError as error:
                    raise DataError(f"{table.place(row)}, {column}: {error}") from error
    return values


def _labels(table: Table, column: str, classes: Sequence[str]) -> list[int]:
    """Return the class of each row, -1 where there is none."""
    numbers = {name: number for number, name in enumerate(classes)}
    written = [
        None if cells.is_missing(cell) and cells.text(cell) not in numbers else cells.text(cell)
        for cell in table.cells(column, "dataset.options.label")
    ]
    if others := sorted({word for word in written if word is not None} - numbers.keys()):
        raise ParameterError(f"{table.path}, {column}: {some(others, 5)} are not in dataset.classes, {list(classes)}")
    return [-1 if word is None else numbers[word] for word in written]


def _ends(
    table: Table, recording: Sequence[str], time: str | Sequence[str] | None, max_pause: float | None
) -> list[int]:
    """Return where recordings begin, in rows, and the number of rows."""
    new = np.zeros(len(table.places), bool)
    for column in recording:
        written = [cells.text(cell) for cell in table.cells(column, "dataset.options.recording")]
        new[1:] |= [before != after for before, after in pairwise(written)]
    if (time is None) != (max_pause is None):
        raise ParameterError("dataset.options.time and max_pause_seconds are given together, or neither")
    if time is not None and max_pause is not None:
        pause = np.diff(_seconds(table, [time] if isinstance(time, str) else time))
        new[1:] |= (pause < 0) | (pause > max_pause)
    return [0, *(row for row in np.flatnonzero(new).tolist() if row), len(new)]


def _seconds(table: Table, columns: Sequence[str]) -> np.ndarray:
    written = [[cells.text(cell) for cell in table.cells(column, "dataset.options.time")] for column in columns]
    joined = pd.Series([" ".join(row) for row in zip(*written, strict=True)])
    numbers = pd.to_numeric(joined, errors="coerce")
    if numbers.notna().all():
        return numbers.to_numpy(np.float64)
    try:
        return pd.to_datetime(joined).to_numpy("datetime64[ms]").astype(np.int64) / 1_000
    except ValueError as error:
        raise DataError(f"{table.path}, {' and '.join(columns)}: neither seconds nor a time: {error}") from error


def _blocks(ends: Sequence[int], steps: int | None) -> list[tuple[int, int]]:
    """Return (first row, row after the last) of each block; without `steps` a recording is a block."""
    return [
        (start, min(start + (steps or last), last))
        for first, last in pairwise(ends)
        for start in range(first, last, steps or last)
    ]


def _split_of(table: Table, windows: Sequence[_Window], split: Mapping[str, object], seed: int) -> list[str]:
    where = "dataset.options.split"
    if set(split) == {"column", "val", "test"} and isinstance(split["column"], str):
        column, parts = table.cells(split["column"], where), {}
        for name in ("val", "test"):
            values = split[name]
            for value in values if isinstance(values, Sequence) and not isinstance(values, str) else [values]:
                parts[cells.text(value)] = name
        if lacking := sorted(parts.keys() - {cells.text(cell) for cell in column}):
            raise ParameterError(f"{where}: column {split['column']} has no {some(lacking, 5)}")
        return [parts.get(cells.text(column[window.start]), "train") for window in windows]
    if set(split) == {"shares", "block_steps"} and isinstance(split["shares"], Mapping):
        shares = splits.checked_shares(split["shares"], ())
        return splits.drawn([[window.label] for window in windows], [one.group for one in windows], shares, seed)
    raise ParameterError(f"{where} is {{column, val, test}} or {{shares, block_steps}}, not {dict(split)}")
