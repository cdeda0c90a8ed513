"""Taking turns: one run at a time in a workspace, one stage at a time on the GPU, one ablation in a project.

A turn is a lock of the kernel on a file in `.dvc/tmp`: it ends with the process that holds it, however that ends. The
file says who holds it, for those who wait.

DVC has two locks of its own. `--wait-for-lock` waits for the first, `.dvc/tmp/lock`, which is held while DVC reads and
writes its records, not while a stage runs. For the second, `.dvc/tmp/rwlock`, the paths that a running stage reads and
writes, nothing waits: DVC fails at once. `wait_for_dvc` waits for a `dvc` that somebody typed.

`python -m flows.turn repro` is `dvc --wait-for-lock repro` with the turn of the workspace, and DVC's own records mended
first (dvc_records.py); `make run` starts it. If make, this process, DVC or the stage is killed, the others end.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TextIO

import psutil

from flows.dvc_records import mend
from flows.fork_server import fork_server
from flows.processes import dvc_in_terminal
from flows.stop import ends_with
from umemma.errors import UmemmaError, run
from umemma.locks import obtained

Tell = Callable[[str], None]


def pause() -> None:
    """Wait a moment between two looks at a lock."""
    time.sleep(0.2)


@dataclass(frozen=True)
class Turn:
    """What can be held by one process at a time."""

    file: Path

    def holder(self) -> str | None:
        """Return who holds it, since when, or None if it is free."""
        try:
            with open(self.file) as lock:
                return None if obtained(lock) else _holder(lock)
        except FileNotFoundError:
            return None

    @contextmanager
    def taken(self, who: str, tell: Tell, pause: Callable[[], None] = pause) -> Iterator[int]:
        """Hold it as `who`; while another holds it, wait and `tell` who. `pause` may raise. Yields the lock's descriptor."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with open(self.file, "a+") as lock:
            awaited = ""
            while not obtained(lock):
                if (holder := _holder(lock)) != awaited:
                    tell(f"waiting for {holder}")
                    awaited = holder
                pause()
            lock.truncate(0)
            lock.write(json.dumps({"who": who, "pid": os.getpid(), "since": time.time()}))
            lock.flush()
            yield lock.fileno()


def workspace(home: Path) -> Turn:
    """Return the turn of those who change the outputs in the workspace."""
    return Turn(home / ".dvc" / "tmp" / "workspace.turn")


def gpu(home: Path) -> Turn:
    """Return the turn of stages that need the GPU."""
    return Turn(home / ".dvc" / "tmp" / "gpu.turn")


def ablation(home: Path) -> Turn:
    """Return the turn of ablations."""
    return Turn(home / ".dvc" / "tmp" / "ablation.turn")


def wait_for_dvc(root: Path, tell: Tell, pause: Callable[[], None] = pause, own: Collection[int] = ()) -> None:
    """Wait until no `dvc` but the processes `own` runs a stage under `root`; `tell` which it waits for."""
    awaited = ""
    while others := _running_dvc(root, own):
        if others != awaited:
            tell(f"waiting for {others}")
            awaited = others
        pause()


def _running_dvc(root: Path, own: Collection[int]) -> str:
    """Return the commands that run a stage here by DVC's record.

    DVC removes those whose process is gone from its record, except where the process id has been reused, as in a
    container that was restarted; then the whole record is removed here.
    """
    file = root / ".dvc" / "tmp" / "rwlock"
    try:
        written, record = file.stat().st_mtime, json.loads(file.read_text())
    except (FileNotFoundError, json.JSONDecodeError):  # the second: being written just now
        return ""
    entries = [
        *record.get("write", {}).values(),
        *(entry for some in record.get("read", {}).values() for entry in some),
    ]
    alive = {entry["pid"]: entry["cmd"] for entry in entries if _started_before(entry["pid"], written)}
    if entries and not alive:
        file.unlink(missing_ok=True)
    return ", ".join(f"{command} (process {pid})" for pid, command in sorted(alive.items()) if pid not in own)


def _started_before(pid: int, moment: float) -> bool:
    try:
        process = psutil.Process(pid)
        return bool(process.create_time() <= moment and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _holder(lock: TextIO) -> str:
    lock.seek(0)
    try:
        note = json.load(lock)
    except json.JSONDecodeError:  # being written just now
        return "another process"
    since = datetime.fromtimestamp(note["since"])
    day = "" if since.date() == datetime.now().date() else f"{since:%Y-%m-%d} "
    return f"{note['who']} (process {note['pid']}, since {day}{since:%H:%M:%S})"


def main() -> None:
    """Take the turn of the workspace, then run `dvc`, which keeps it."""
    home = Path.cwd()
    if not (home / ".dvc").is_dir():
        raise UmemmaError(f"{home}: not the root of a DVC project (no .dvc folder here)")

    def tell(line: str) -> None:
        print(line, flush=True)

    given = sys.argv[1:]
    with ends_with("stopped; finished stages are kept, and the same command goes on from there"):
        with workspace(home).taken(" ".join(["dvc", *given]), tell) as descriptor:
            wait_for_dvc(home, tell)
            mend(home, tell)
            with fork_server(home) as server:
                returncode = dvc_in_terminal(["--wait-for-lock", *given], cwd=home, keep=descriptor, server=server)
        sys.exit(returncode if returncode >= 0 else 128 - returncode)


if __name__ == "__main__":
    run(main)
