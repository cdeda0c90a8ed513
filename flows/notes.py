"""Which process each flow run is: a file for each in `.prefect/runs`.

The file holds process id and start time, as an id alone may have been reused. A run that is killed leaves its file, by
which `records.mark_dead` recognises it. Imports no Prefect, so that `make down` is quick.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from flows.services import same_process
from flows.settings import state_folder

SECONDS_TO_END = 5.0


@contextmanager
def noted(root: Path, run_id: str) -> Iterator[None]:
    """Record this process as that of a flow run."""
    note = _folder(root) / f"{run_id}.json"
    note.write_text(json.dumps({"pid": os.getpid(), "started": psutil.Process().create_time()}))
    try:
        yield
    finally:
        note.unlink(missing_ok=True)


def running(root: Path) -> dict[str, int]:
    """Return the process id of every run that lives, by the id of the run; notes of dead ones are removed."""
    alive = {}
    for note in _folder(root).glob("*.json"):
        try:
            process = json.loads(note.read_text())
        except FileNotFoundError:  # it has ended just now
            continue
        except json.JSONDecodeError:  # killed while it was written
            process = {"pid": 0, "started": 0}
        if same_process(process["pid"], process["started"]):
            alive[note.stem] = int(process["pid"])
        else:
            note.unlink(missing_ok=True)
    return alive


def end_all(root: Path) -> int:
    """End every run by SIGTERM, which it reports to its server, else by SIGKILL; return how many there were."""
    processes = []
    for pid in running(root).values():
        with suppress(psutil.NoSuchProcess):
            processes.append(psutil.Process(pid))
            processes[-1].terminate()
    _, alive = psutil.wait_procs(processes, timeout=SECONDS_TO_END)
    for process in alive:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    return len(processes)


def _folder(root: Path) -> Path:
    return state_folder(root) / "runs"
