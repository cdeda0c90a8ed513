"""Irregular events in a table beside the main one: a line for each, of whom, when, what, and how much.

| stay | hour | what | value |
|---|---|---|---|
| s17 | 0.2 | heart rate | 88 |
| s17 | 5.5 | sodium | 139 |

A line without a value is no event. What `variables` does not list is left out, as a column is that no modality names.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from umemma.data.sample import BadSample
from umemma.errors import DataError, ParameterError, SettingError
from umemma.settings import Section, section
from umemma.sources.tables import file as table_file
from umemma.sources.tables import paths, times
from umemma.sources.tables.cells import is_missing, number, text


class Events(Section):
    """`dataset.options.modalities.<modality>.events`: columns are those of `file`."""

    file: str
    """The table of events, relative to the folder that paths are relative to."""
    key: str
    """Column that holds what the modality's `column` of the main table holds."""
    time: str
    """Column of the time."""
    variable: str
    """Column of what was measured."""
    value: str
    """Column of the value."""
    variables: Annotated[Sequence[str], Field(min_length=1)]
    """What may stand in `variable`; their places in this list are the channels."""
    time_format: str | None = None
    """Null: numbers, taken as they are. `iso`, or as in Python's strptime: hours since the first line of the same key."""

    def read(self, base: Path, roots: Sequence[Path]) -> dict[str, np.ndarray]:
        """Return float32 (event, 3) by key: time, place of the variable, value. Raises DataError naming line and value.

        The file must lie below one of `roots`.
        """
        try:
            paths.located(self.file, base, roots)
        except BadSample as error:
            raise ParameterError(f"events.file: {error}") from error
        table = table_file.read(base / self.file)
        key, time, variable, value = (
            table.cells(column, f"events.{name}")
            for name, column in (
                ("key", self.key),
                ("time", self.time),
                ("variable", self.variable),
                ("value", self.value),
            )
        )
        place = {name: number for number, name in enumerate(self.variables)}
        first: dict[str, float] = {}
        events: dict[str, list[tuple[float, int, float]]] = {}
        for row, of_whom in enumerate(map(text, key)):
            try:
                moment = self._time(time[row])
                first[of_whom] = min(first.get(of_whom, moment), moment)
                if text(variable[row]) in place and not is_missing(value[row]):
                    event = moment, place[text(variable[row])], number(value[row])
                    events.setdefault(of_whom, []).append(event)
            except ValueError as error:
                raise DataError(f"{table.place(row)}: no usable event: {error}") from error
        if not events:
            raise DataError(f"{table.path} holds none of the variables {', '.join(self.variables)}")
        start = first if self.time_format else dict.fromkeys(first, 0.0)
        return {of_whom: _array(found, start[of_whom]) for of_whom, found in events.items()}

    def _time(self, cell: object) -> float:
        if self.time_format is None:
            return number(cell)
        moment = times.read(cell, self.time_format)
        return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() / 3600


def events(entry: object, where: str) -> Events:
    """Validate the settings at `where`. Raises ParameterError naming key, value and choices."""
    if not isinstance(entry, Mapping):
        raise ParameterError(
            f"{where}.events must say how events are found: {{file: ..., key: ..., ...}}, not {entry!r}"
        )
    try:
        return section(Events, **entry)
    except SettingError as error:
        raise ParameterError(f"{where}.events: {error}") from error


def _array(found: Sequence[tuple[float, int, float]], start: float) -> np.ndarray:
    values = np.array(found, np.float64)
    values[:, 0] -= start
    return values[np.argsort(values[:, 0], kind="stable")].astype(np.float32)
