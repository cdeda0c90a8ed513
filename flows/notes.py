"""Which process each flow run is: a file for each in `.prefect/runs`.

The file holds process id and start time, as an id alone may have been reused. A run that is killed leaves its file, by
which `records.mark_dead` recognises it. Imports no Prefect, so that `make down` is quick.
"""

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from flows.services import same_process, start_time
from flows.settings import is_healthy, state_folder
from umemma.files import written_whole

SECONDS_TO_END = 5.0


@dataclass(frozen=True)
class Note:
    """A run by its id, its process, and the address of the server that it reports to."""

    run: str
    pid: int
    server: str
    is_alive: bool


@contextmanager
def noted(root: Path, run: str) -> Iterator[None]:
    """Record this process as that of a flow run."""
    note = _file(root, run)
    process = {"pid": os.getpid(), "started": start_time(os.getpid())}
    with written_whole(note) as temporary:
        temporary.write_text(json.dumps({**process, "server": os.environ.get("PREFECT_API_URL", "")}))
    try:
        yield
    finally:
        note.unlink(missing_ok=True)


def notes(root: Path) -> list[Note]:
    """Return the notes of all runs that have not ended in an orderly way."""
    result = []
    for file in _file(root, "*").parent.glob("*.json"):
        try:
            note = json.loads(file.read_text())
        except FileNotFoundError:  # it has ended just now
            continue
        is_alive = same_process(note["pid"], note["started"])
        result.append(Note(file.stem, int(note["pid"]), note.get("server", ""), is_alive))
    return result


def forget(root: Path, runs: Iterable[str]) -> None:
    """Remove the notes of these runs."""
    for run in runs:
        _file(root, run).unlink(missing_ok=True)


def end_all(root: Path, server: str | None) -> int:
    """End every run of this server, or of one that is gone; return how many there were.

    By SIGTERM, which a run reports, else by SIGKILL.
    """
    processes = []
    for note in notes(root):
        if note.is_alive and (note.server == server or not is_healthy(note.server)):
            with suppress(psutil.NoSuchProcess):
                processes.append(psutil.Process(note.pid))
                processes[-1].terminate()
    _, alive = psutil.wait_procs(processes, timeout=SECONDS_TO_END)
    for process in alive:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    return len(processes)


def _file(root: Path, run: str) -> Path:
    return state_folder(root) / "runs" / f"{run}.json"
