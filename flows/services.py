"""Background processes that outlive the command that started them, each recorded in a file in `.prefect/pids`.

The file holds process id and start time, since an id alone may have been reused. Each process leads its own session and
is stopped with all its descendants.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

NOTED = Path(__file__).with_name("noted_process.py")
SECONDS_TO_END = 10.0


def start_time(pid: int) -> float:
    """Return when a process started, in seconds; on Linux since the boot, so that a clock that jumps changes nothing.

    Raises psutil.NoSuchProcess.
    """
    if sys.platform != "linux":
        return float(psutil.Process(pid).create_time())
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError) as error:
        raise psutil.NoSuchProcess(pid) from error
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")  # field 22 of proc(5); the name may hold blanks


def same_process(pid: int, started: float) -> bool:
    """Whether the process with this id is alive and has this start time."""
    try:
        return abs(start_time(pid) - started) < 0.1 and bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@dataclass(frozen=True)
class Service:
    """A background process of the project; `folder` is `.prefect/`."""

    name: str
    folder: Path

    @property
    def log(self) -> Path:
        """The file with its output."""
        return self.folder / "logs" / f"{self.name}.log"

    @property
    def _note(self) -> Path:
        return self.folder / "pids" / f"{self.name}.json"

    def pid(self) -> int | None:
        """Return its process id, or None if it is not running."""
        try:
            note = json.loads(self._note.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        return int(note["pid"]) if same_process(note["pid"], note["started"]) else None

    def start(self, command: Sequence[str], *, cwd: Path, environment: Mapping[str, str]) -> None:
        """Start it, detached from the terminal; `command` begins with a path."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._note.parent.mkdir(parents=True, exist_ok=True)
        self._note.unlink(missing_ok=True)
        with open(self.log, "w") as log:
            process = subprocess.Popen(
                [sys.executable, "-P", str(NOTED), str(self._note), *command],
                cwd=cwd,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        while not self._note.exists() and process.poll() is None:
            time.sleep(0.02)

    def stop(self, seconds: float = SECONDS_TO_END) -> bool:
        """Stop it and its descendants, by SIGTERM, then, after so long, SIGKILL; return whether it was running."""
        pid = self.pid()
        if pid is not None:
            everything = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGTERM)
            _, alive = psutil.wait_procs(everything, timeout=seconds)
            for process in alive:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(alive, timeout=SECONDS_TO_END)
        self._note.unlink(missing_ok=True)
        return pid is not None

    def last_lines(self, count: int = 15) -> str:
        """Return the end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:]) if self.log.exists() else ""


def wait_until(check: Callable[[], bool], service: Service, seconds: float) -> bool:
    """Wait for `check` to hold; give up when the service ends or time is up."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if check():
            return True
        if service.pid() is None:
            return False
        time.sleep(0.2)
    return False
