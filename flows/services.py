"""Long-running processes that outlive the command that started them, each known by a file in `.prefect/pids`.

The file holds the number and the start time: a number alone may since belong to another program. Each is started in a
session of its own and ended with all that it started.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

SECONDS_TO_END = 10.0


def same_process(pid: int, started: float) -> bool:
    """Whether the process with this number is alive and is the one that started then."""
    try:
        process = psutil.Process(pid)
        return abs(process.create_time() - started) < 0.1 and bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@dataclass(frozen=True)
class Service:
    """One process of the project; `folder` is `.prefect/`."""

    name: str
    folder: Path

    @property
    def log(self) -> Path:
        """The file with all it prints."""
        return self.folder / "logs" / f"{self.name}.log"

    @property
    def _note(self) -> Path:
        return self.folder / "pids" / f"{self.name}.json"

    def pid(self) -> int | None:
        """Return its number, or None if it does not run."""
        try:
            note = json.loads(self._note.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        return int(note["pid"]) if same_process(note["pid"], note["started"]) else None

    def start(self, command: Sequence[str], *, cwd: Path, environment: Mapping[str, str]) -> None:
        """Start it, detached from the terminal."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._note.parent.mkdir(parents=True, exist_ok=True)
        with open(self.log, "w") as log:
            process = subprocess.Popen(
                command,
                cwd=cwd,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        started = psutil.Process(process.pid).create_time()
        self._note.write_text(json.dumps({"pid": process.pid, "started": started}))

    def stop(self) -> bool:
        """End it and all it started, asking first; return whether it ran."""
        pid = self.pid()
        if pid is not None:
            everything = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGTERM)
            _, alive = psutil.wait_procs(everything, timeout=SECONDS_TO_END)
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
    """Wait for `check` to hold; stop waiting when the service ends or the time is over."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if check():
            return True
        if service.pid() is None:
            return False
        time.sleep(0.2)
    return False
