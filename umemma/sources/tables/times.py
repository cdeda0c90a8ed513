"""Dates and times as numbers that a model can use: days since the earliest, the time of day, the day of the week.

- `days` are exact to a second for three months, and to 20 seconds over ten years: members are float32.
- The time of day is the sine and cosine of the hour's angle, so that 23:59 lies beside 00:00; it is the time on the wall
  where the clock stood, as the cell writes it. Days are counted in UTC; a cell without a time zone is taken as UTC.
- The day of the week is seven numbers, of which one is 1.
"""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, time
from functools import cached_property
from typing import Annotated, Literal

from pydantic import Field

from umemma.settings import Section
from umemma.sources.tables.cells import shown, text

UNITS = {"unix": 1.0, "unix_ms": 1e3, "unix_us": 1e6, "unix_ns": 1e9}  # counts since 1970 in UTC, by their unit
Part = Literal["days", "time_of_day", "weekday"]
_NAMES: dict[str, tuple[str, ...]] = {
    "days": ("days",),
    "time_of_day": ("time of day (sine)", "time of day (cosine)"),
    "weekday": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
}
_DAY_SECONDS = 86_400


class Time(Section):
    """How the times of a column are written, and which numbers each becomes."""

    type: Literal["time"] = "time"
    format: str = "iso"
    """`iso` (2024-05-31T13:45:00+02:00, also shorter); `unix`, `unix_ms`, `unix_us`, `unix_ns`; else as in Python's strptime."""
    since: str = "1970-01-01"
    """Days are counted from here: ISO."""
    parts: Annotated[Sequence[Part], Field(min_length=1)] = ("days",)
    """Which numbers: days, time_of_day, weekday."""
    missing: Sequence[str] = ()
    """Words for a hole, in any case, besides those of the whole table."""
    unreadable: Literal["reject", "missing"] = "reject"
    """What a cell that is no time means: its row cannot be used, or nothing was measured."""

    @property
    def names(self) -> tuple[str, ...]:
        """What the numbers that a cell becomes are called after the column's name."""
        return tuple(name for part in self.parts for name in _NAMES[part])

    def __call__(self, cell: object) -> Sequence[float]:
        """Return the numbers that the time in a cell becomes. Raises ValueError if it is none."""
        moment = read(cell, self.format)
        numbers: list[float] = []
        for part in self.parts:
            if part == "days":
                numbers.append((_utc(moment) - self._since).total_seconds() / _DAY_SECONDS)
            elif part == "time_of_day":
                midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
                angle = 2 * math.pi * (moment - midnight).total_seconds() / _DAY_SECONDS
                numbers += [math.sin(angle), math.cos(angle)]
            else:
                numbers += [float(moment.weekday() == day) for day in range(7)]
        return numbers

    @cached_property
    def _since(self) -> datetime:
        return _utc(read(self.since, "iso"))


def read(cell: object, form: str) -> datetime:
    """Return the time in a cell, with the time zone that it names. Raises ValueError if it is none of this form."""
    written = text(cell)
    try:
        if form in UNITS:
            return datetime.fromtimestamp(float(written) / UNITS[form], UTC)
        if form == "iso":
            return datetime.fromisoformat(written)
        return datetime.strptime(written, form)
    except (ValueError, OverflowError, OSError) as error:
        clock = _clock(written) if form == "iso" else None
        if clock is None:
            raise ValueError(f"{shown(cell)} is no time as {form!r} writes it") from error
        return datetime.combine(datetime(1970, 1, 1), clock)


def _clock(written: str) -> time | None:
    """Return a time without a date, 13:45."""
    try:
        return time.fromisoformat(written) if ":" in written else None
    except ValueError:
        return None


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
