"""`make prune`: what nothing needs any more, and how much that is; YES=1 removes it.

What is referenced stays: what a commit, a branch, an experiment, the workspace or a run in MLflow was made from, models
in the registry, runs under way. What can only grow old - answers' logs, Prefect's runs, copies of models that MLflow has -
goes after DAYS days.
"""

import argparse
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from flows import turn, workspace
from flows.graph import project_root
from flows.settings import database, noted_url, prefect_environment, server_url
from umemma.errors import UmemmaError, run
from umemma.files import is_left
from umemma.serving import log_files
from umemma.tracking.address import STORE

DAYS = 90
LOG = Path("answers")
WRITTEN = ("data", "conf", STORE)  # where files are written whole, by a name of their own until then


@dataclass(frozen=True)
class Found:
    """Things of one kind that nothing needs; `num_bytes` None: a part of a database. `kept`: why none was looked for."""

    what: str
    count: int = 0
    num_bytes: int | None = 0
    remove: Callable[[], None] = lambda: None
    kept: str = ""

    def line(self) -> str:
        """Return it for the terminal."""
        if self.kept:
            return f"{self.what}: not looked at, as {self.kept}"
        size = "" if self.num_bytes is None else f", {shown(self.num_bytes)}"
        return f"{self.what}: {self.count:,}{size}"


def prune(home: Path, *, days: int, log: Path, removes: bool) -> Iterator[str]:
    """Yield a line for each kind, and what was or would be freed in all; `log` is a folder of answers."""
    before = datetime.now(UTC) - timedelta(days=days)
    with turn.workspace(home).taken("make prune", print):
        turn.wait_for_dvc(home, print)
        total = 0
        for find in (of_cache, of_mlflow, partial(of_log, log=log), of_prefect, of_killed):
            found = find(home, before)
            yield found.line()
            total += found.num_bytes or 0
            if removes:
                found.remove()
    yield f"{shown(total)} {'freed' if removes else 'could be freed: make prune YES=1'}"


def of_cache(home: Path, _: datetime) -> Found:
    """Files of DVC's cache that no run names."""
    from flows.unreferenced import unreferenced

    what = "files in DVC's cache that no run is made from"
    if busy := workspace.in_use(home):
        return Found(what, kept=f"{len(busy)} runs with overrides are under way")
    try:
        paths = unreferenced(home)
    except UmemmaError as error:
        return Found(what, kept=str(error))
    return _files(what, paths)


def of_mlflow(home: Path, before: datetime) -> Found:
    """Copies of models that were fetched from MLflow, which has them."""
    fetched = (home / STORE / "fetched").glob("*")
    copies = [path for path in fetched if path.stat().st_mtime < before.timestamp()]
    return _files("copies of models that MLflow has", copies)


def of_log(home: Path, before: datetime, *, log: Path) -> Found:
    """Files of answers."""
    paths = (home / log).glob(f"*{log_files.SUFFIX}")
    old = [path for path in paths if (written := log_files.written_at(path)) is not None and written < before]
    return _files(f"files of answers in {log}", old)


def of_prefect(home: Path, before: datetime) -> Found:
    """Runs in Prefect that have ended."""
    what = "runs in Prefect that have ended"
    url = server_url(home)
    if url is None:
        return Found(what, kept="its server is down: make up")
    if url != noted_url(home) or database(home):
        return Found(what, kept="others may use its server or database, too")
    os.environ.update(prefect_environment(home, url))
    from flows import old_runs

    runs = old_runs.ended_before(before)
    return Found(what, len(runs), None, partial(old_runs.remove, runs))


def of_killed(home: Path, _: datetime) -> Found:
    """What killed processes have left: files half-written, worktrees of experiments."""
    parts = [path for folder in WRITTEN for path in (home / folder).rglob(".*.part") if not _is_alive(path)]
    worktrees = workspace.left(home)

    def remove() -> None:
        _remove(parts)
        workspace.prune(home)  # git knows of them, too

    left = [*parts, *worktrees]
    return Found("files and folders that killed processes have left", len(left), sum(map(_size, left)), remove)


def shown(num_bytes: int) -> str:
    """Return a number of bytes in words."""
    size, units = float(num_bytes), iter(("bytes", "KiB", "MiB", "GiB"))
    unit = next(units)
    while size >= 1024 and (larger := next(units, None)):
        size, unit = size / 1024, larger
    return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"


def _files(what: str, paths: Sequence[Path]) -> Found:
    return Found(what, len(paths), sum(map(_size, paths)), partial(_remove, paths))


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.lstat().st_size for file in files if not file.is_dir())


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _is_alive(part: Path) -> bool:
    """Whether the process may still write: it is in the name. One without a process may write for another minute."""
    is_numbered = part.name.split(".")[-2].isdecimal()
    return not is_left(part) if is_numbered else part.stat().st_mtime > time.time() - 60


def main() -> None:
    """Read the arguments, and say what there is."""
    parser = argparse.ArgumentParser(prog="make prune", description="What nothing needs any more.")
    add = parser.add_argument
    add("--days", type=int, default=DAYS, help="after which logs, copies and Prefect's runs go (%(default)s)")
    add("--log", type=Path, default=LOG, help="a folder of `umemma serve --log` (%(default)s)")
    add("--yes", action="store_true", help="remove it")
    given = parser.parse_args()
    for line in prune(project_root(Path.cwd()), days=given.days, log=given.log, removes=given.yes):
        print(line, flush=True)


if __name__ == "__main__":
    run(main)
