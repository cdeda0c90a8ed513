"""Ctrl-C and SIGTERM for commands that run in a terminal: one line, and everything has ended within five seconds.

A signal raises `Stopped` in the main thread, so that each level cleans up in its own way. What takes longer than
`SECONDS_TO_END`, such as a request to a server that is gone, too, is cut off: then the kernel ends children and
releases locks, and the next run removes the rest. A second signal ends the process at once.

A command that `make` has started gets SIGTERM when make is killed, too: otherwise an ablation would go on for hours
without a terminal. One that is typed is tied to nothing, as it may be meant to outlive its shell.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock, Timer
from types import FrameType

from umemma.parent_death import end_with_make

SIGNALS = (signal.SIGINT, signal.SIGTERM)
SECONDS_TO_END = 4.0


class Stopped(BaseException):
    """Ctrl-C or SIGTERM."""


@contextmanager
def ends_with(line: str) -> Iterator[None]:
    """Listen for both signals; after one, end this process with `line` and the signal's exit code."""
    came: list[int] = []
    told = Lock()

    def tell() -> None:
        if told.acquire(blocking=False):
            print(f"\n{line}" if sys.stderr.isatty() else line, file=sys.stderr, flush=True)  # below ^C

    def cut_off() -> None:
        tell()
        os._exit(128 + came[0])

    def stop(number: int, _frame: FrameType | None) -> None:
        for each in SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        came.append(number)
        timer = Timer(SECONDS_TO_END, cut_off)
        timer.daemon = True
        timer.start()
        raise Stopped

    for number in SIGNALS:
        signal.signal(number, stop)
    try:
        end_with_make()
        yield
    except BaseException:
        if not came:  # what follows a signal is its consequence
            raise
    if came:
        tell()
        sys.exit(128 + came[0])


def listen_again() -> None:
    """Take SIGTERM back from a library that has set a handler of its own, if this process listens at all."""
    handler = signal.getsignal(signal.SIGINT)
    if getattr(handler, "__module__", None) == __name__:
        signal.signal(signal.SIGTERM, handler)
