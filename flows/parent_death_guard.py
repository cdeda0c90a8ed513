"""The child's side: `python -P flows/parent_death_guard.py PARENT_PID MODULE ARGUMENT ...` is a module that dies with its parent.

A script and not a `preexec_fn`: Python code between fork and exec can hang in a process with threads, and a flow has
one per stage. When the parent dies, even by kill -9, the kernel sends SIGTERM here, and the whole process group (DVC,
the shell, the stage, its loader workers) is killed at once: a stage that outlives its DVC would overwrite the
output of the next run. Killing is safe: DVC removes outputs before a stage runs and writes dvc.lock after it.
"""

import ctypes
import os
import runpy
import signal
import sys
from types import FrameType

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def end_group(_signal: int, _frame: FrameType | None) -> None:
    """Kill every process of this group, this one included."""
    os.killpg(0, signal.SIGKILL)


def main() -> None:
    """Tie this process to its parent, then run the module."""
    parent, module = int(sys.argv[1]), sys.argv[2]
    signal.signal(signal.SIGTERM, end_group)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died before the guard was set
        end_group(signal.SIGTERM, None)
    sys.argv = [module, *sys.argv[3:]]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
