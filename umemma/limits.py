"""Limits of what one file may take of this machine, checked before memory is taken: by headers, declared shapes, ratios.

A file of a few kilobytes can declare an image of a terabyte, unpack to one, or nest lists until an interpreter crashes.
Each limit is an amount that is counted, not a time that is measured, so that the same file is read or refused on every
machine; the defaults keep a reader below ten seconds and 1.5 GB for what a small file can claim. They hold in the
current context: `within` sets those of a data set around whatever reads it.
"""

import math
import os
import resource
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from umemma.errors import OverLimit
from umemma.settings import Count, Positive, Section

MIB = 2**20


class SupportsRead(Protocol):
    """A file, or what unpacks one."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes, fewer at the end."""
        ...


class Limits(Section):
    """What is read of one file, at most; beyond it the file is refused, naming the limit and the line that raises it."""

    file_mib: Positive = 256.0
    """Size of a file that is read whole, and of what it, or one file of an archive, unpacks to, in MiB."""
    unpack_ratio: Positive = 200.0
    """How many times its own size an archive may unpack to, in all, where that is beyond `file_mib`."""
    pixels: Count = 50_000_000
    """Pixels of an image, width times height."""
    scans: Count = 100
    """Passes of a progressive JPEG, each of which goes over all of its pixels."""
    frame_pixels: Count = 4096 * 2304
    """Pixels of one frame of a video."""
    frames: Count = 50_000
    """Frames of a video: half an hour at 25 per second."""
    video_pixels: Count = 4_000_000_000
    """Pixels of all frames of a video: a minute of 1080p at 30 per second."""
    seconds: Positive = 3 * 3600.0
    """Length of a sound."""
    channels: Count = 64
    """Channels of a sound."""
    rate_hz: Count = 1_000_000
    """Sample rate of a sound."""
    sound_values: Count = 400_000_000
    """Samples of all channels of a sound: an hour of stereo at 48 kHz."""
    text_bytes: Count = 2**20
    """Bytes of one text: about 180,000 English words."""
    array_values: Count = 50_000_000
    """Numbers of an array: of a vector, a series, events."""
    rows: Count = 5_000_000
    """Rows of a table."""
    columns: Count = 20_000
    """Columns of a table, and keys of objects in it."""
    cells: Count = 20_000_000
    """Rows times columns of a table, the empty ones included."""
    cell_mib: Positive = 64.0
    """Size of one cell of a table, such as an embedded file, in MiB."""
    depth: Count = 64
    """Levels of lists and objects within each other, in JSON and in pickles."""


_HEADER = 512  # bytes of a file in an archive besides its content
_ABSURD = 10**15
_DEFAULT = Limits()
_current: ContextVar[Limits] = ContextVar("limits", default=_DEFAULT)
_READ = {  # what an amount is counted in
    "file_mib": "MiB",
    "unpack_ratio": "times its own size",
    "pixels": "pixels",
    "scans": "passes",
    "frame_pixels": "pixels",
    "frames": "frames",
    "video_pixels": "pixels in all",
    "seconds": "s",
    "channels": "channels",
    "rate_hz": "Hz",
    "sound_values": "samples in all channels",
    "text_bytes": "bytes",
    "array_values": "numbers",
    "rows": "rows",
    "columns": "columns",
    "cells": "cells",
    "cell_mib": "MiB",
    "depth": "levels",
}


def current() -> Limits:
    """Return the limits that hold here."""
    return _current.get()


def use(limits: Limits) -> None:
    """Let these limits hold from now on in this context: for a process that reads one data set."""
    _current.set(limits)


@contextmanager
def within(limits: Limits) -> Iterator[None]:
    """Let these limits hold inside of a `with`."""
    token = _current.set(limits)
    try:
        yield
    finally:
        _current.reset(token)


@dataclass(frozen=True)
class Carried:
    """A function that runs within the limits of where it was made: another process or node has a context of its own."""

    function: Callable[..., Any]
    limits: Limits = field(default_factory=current)

    def __call__(self, *given: Any) -> Any:
        """Call the function."""
        with within(self.limits):
            return self.function(*given)


def check(name: str, amount: float, what: str) -> None:
    """Raise OverLimit if `amount` is beyond the limit `name`; `what` has it begins the sentence: "the image"."""
    most = getattr(current(), name)
    if amount <= most:
        return
    advice = "no machine could take it"
    if amount < _ABSURD:
        advice = f"`limits: {{{name}: {math.ceil(amount)}}}` in the data set's file accepts it"
    raise OverLimit(
        f"over limits.{name}: {what} has {_shown(amount)} {_READ[name]}, at most {_shown(most)} are read; {advice}"
    )


def check_bytes(num_bytes: int, what: str = "the file") -> None:
    """Raise OverLimit for more bytes than are read of one file."""
    check("file_mib", num_bytes / MIB, what)


def content(path: Path) -> bytes:
    """Return a file's bytes. Raises OverLimit by its size before it is read: a sparse file takes no room on disk."""
    with path.open("rb") as file:
        check_bytes(os.fstat(file.fileno()).st_size)
        return read(file)


def read(stream: SupportsRead, what: str = "what it unpacks to") -> bytes:
    """Return all bytes of a stream that unpacks something. Raises OverLimit as soon as there are more than of one file."""
    most = int(current().file_mib * MIB)
    found = stream.read(most + 1)
    if len(found) > most:
        check_bytes(2 * most, what)  # how many there are is not known: the line offers twice as many
    return found


@contextmanager
def memory(num_bytes: int) -> Iterator[None]:
    """Let this process take so many more bytes of address space, at most, inside of a `with`.

    For libraries in C that ask for whatever a file declares, where it cannot be looked at before: they fail then. Only
    one thread at a time may be inside, and others that ask for memory meanwhile share the room.
    """
    before, hard = resource.getrlimit(resource.RLIMIT_AS)
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    asked = [limit for limit in (taken + num_bytes, before, hard) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min(asked), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (before, hard))


class Unpacking:
    """Counts what an archive of `num_bytes` unpacks to."""

    def __init__(self, num_bytes: int) -> None:
        self._packed, self._total = max(1, num_bytes), 0

    def add(self, num_bytes: int, name: str) -> None:
        """Raise OverLimit if the file `name` of the archive is too large, or all so far are for so small an archive."""
        check_bytes(num_bytes, name)
        self._total += num_bytes + _HEADER
        if self._total > current().file_mib * MIB:
            check("unpack_ratio", self._total / self._packed, f"the archive up to {name}")


def check_table(num_rows: int, num_columns: int, what: str) -> None:
    """Raise OverLimit for too many rows, columns, or cells."""
    check("rows", num_rows, what)
    check("columns", num_columns, what)
    check("cells", num_rows * num_columns, what)


def check_depth(value: Any, what: str) -> None:
    """Raise OverLimit where lists and objects lie too deep within each other. Goes level by level, without recursion."""
    level, depth = [value], 0
    while level := [inner for outer in level for inner in _inside(outer)]:
        depth += 1
        check("depth", depth, what)


def _inside(value: Any) -> list[Any]:
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return [one for one in inner if isinstance(one, Mapping | list | tuple)]


def _shown(amount: float) -> str:
    if not amount < _ABSURD:
        return "more than 10^15"
    return f"{amount:,.0f}" if amount == int(amount) or amount >= 1000 else f"{amount:,.1f}"
