"""The processes of a run: start DVC under a parent-death guard, forward its lines, kill all when the run is cancelled.

Each child leads its own session, so that Ctrl-C in a terminal reaches only the flow, and one signal to the group ends
DVC together with its stage. parent_death_guard.py covers the case that this process itself is killed.
"""

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Lock, Timer
from typing import Any

import psutil

GUARD = Path(__file__).with_name("parent_death_guard.py")
TAIL_LINES = 20


@dataclass(frozen=True)
class Finished:
    """How a child ended; `tail` are its last lines, oldest first; `has_timed_out` where it was killed for its time."""

    returncode: int
    tail: tuple[str, ...]
    has_timed_out: bool = False


@dataclass(frozen=True)
class ForkServer:
    """A server that runs: the environment in which stages ask it, and its process id."""

    environment: Mapping[str, str]
    pid: int


def dvc_in_terminal(arguments: Sequence[str], *, cwd: Path, keep: int, server: ForkServer | None = None) -> int:
    """Run `dvc ARGUMENTS` to its end, with this terminal's output and the descriptor `keep`; return its exit status.

    It and its stage end if this process ends, however that ends.
    """
    process = subprocess.Popen(
        _guarded(arguments),
        cwd=cwd,
        env={**os.environ, **(server.environment if server else {})},
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        pass_fds=[keep],
    )
    try:
        return _wait(process)
    finally:
        _kill(process)


class Cancelled(Exception):
    """The run is being cancelled: no further process may start, and a killed one is not a failed stage."""


class Children:
    """The running children of one run; threads may call `dvc` while another calls `end`.

    `server` runs their stages in their place.
    """

    def __init__(self, server: ForkServer | None = None) -> None:
        self._server = server
        self._lock = Lock()
        self._running: set[subprocess.Popen[str]] = set()
        self._ended = False

    def dvc(
        self,
        arguments: Sequence[str],
        *,
        cwd: Path,
        environment: Mapping[str, str],
        on_line: Callable[[str], None],
        timeout_seconds: float | None = None,
    ) -> Finished:
        """Run `dvc ARGUMENTS` to its end or for `timeout_seconds`, calling `on_line` for every line that is printed."""
        process = self._start(_guarded(arguments), cwd, environment)
        tail: deque[str] = deque(maxlen=TAIL_LINES)
        timed_out = Event()
        try:
            assert process.stdout is not None, "the child was started with a pipe"
            with _after(timeout_seconds, timed_out.set, lambda: _kill(process)):
                for line in process.stdout:
                    if text := line.rstrip():
                        tail.append(text)
                        on_line(text)
                returncode = _wait(process)
        finally:
            _kill(process)
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
            with self._lock:
                self._running.discard(process)
        if self._ended:
            raise Cancelled
        return Finished(returncode, tuple(tail), timed_out.is_set())

    def pids(self) -> set[int]:
        """Return the process ids of the running children."""
        with self._lock:
            return {process.pid for process in self._running}

    def cpu_seconds(self) -> float | None:
        """Return the CPU seconds of all stages that have ended, of the one child that runs; None where not one runs."""
        if len(pids := self.pids()) != 1:
            return None
        with suppress(psutil.NoSuchProcess):
            waited = [psutil.Process(pid).cpu_times() for pid in (*pids, *([self._server.pid] if self._server else []))]
            return float(sum(times.children_user + times.children_system for times in waited))
        return None

    def pause(self) -> None:
        """Wait a moment, between two looks at a lock. Raises Cancelled once the children have been ended."""
        time.sleep(0.2)
        if self._ended:
            raise Cancelled

    def end(self) -> None:
        """Kill every running child with its descendants, and refuse new ones. May be called twice."""
        with self._lock:
            self._ended = True
            for process in self._running:
                _kill(process)

    def _start(self, command: Sequence[str], cwd: Path, environment: Mapping[str, str]) -> subprocess.Popen[str]:
        with self._lock:
            if self._ended:
                raise Cancelled
            process = subprocess.Popen(
                command,
                cwd=cwd,
                env={**environment, **(self._server.environment if self._server else {})},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
            )
            self._running.add(process)
            return process


def _guarded(arguments: Sequence[str]) -> list[str]:
    return [sys.executable, "-P", str(GUARD), str(os.getpid()), "dvc", *arguments]


def _wait(process: subprocess.Popen[Any]) -> int:
    """Wait for a child, and kill what it leaves of its group, before its process id can be given to another."""
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    return process.wait()


@contextmanager
def _after(seconds: float | None, *acts: Callable[[], None]) -> Iterator[None]:
    """Call `acts` if the block takes longer than this."""
    timer = Timer(seconds or 0, lambda: [act() for act in acts])
    timer.daemon = True
    if seconds is not None:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _kill(process: subprocess.Popen[Any]) -> None:
    """Kill the group of a child that has not been waited for; its process id cannot have been reused yet."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
