"""Ending with the process that started this one, even where that is killed: on Linux the kernel sends the signal."""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
MAKE = "UMEMMA_MAKE"  # the process id of the `make` that has started this command


def end_with_make() -> None:
    """Get SIGTERM when the `make` that has started this command ends; one that is typed is tied to nothing."""
    if make := os.environ.pop(MAKE, None):  # not for what this process starts
        end_with_parent(signal.SIGTERM, int(make))


def end_with_parent(number: int = signal.SIGKILL, parent: int | None = None) -> None:
    """Get a signal when the process that started this one ends; at once if that was `parent`, which is gone already.

    What this process starts in turn is not tied to anything: it calls this, too. Loader and pool workers are the case in
    point, which wait for work for ever when their parent is killed.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)
        if parent is not None and os.getppid() != parent:
            os.kill(os.getpid(), number)
