"""Raw data that a person may change at any time, as a few digests: equal ones mean that nothing has changed.

An adapter of such data has `lists`, the files that it reads when it is made, and `inputs()`, those that its samples are
read from. Lists are digested by content. The others can be large and many, so of them it is path, size and time: 10,000
files take 0.7 s, most of it to follow links. A copy of the data with new times so counts as changed, and only costs
that `prepare` runs once more; the shards come out the same.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from umemma.errors import SettingError


def state(adapter: Any, root: Path) -> dict[str, object]:
    """Return {"lists": {file: sha256}, "files": how many of the others there are, "sha256": one digest of them all}.

    `root` with links followed. Raises SettingError for an adapter that has no such files.
    """
    if not hasattr(adapter, "inputs"):
        raise SettingError("dataset.watch.each_run must be [] here: the adapter has no inputs() to look at")
    digest, count = hashlib.sha256(), 0
    for path in adapter.inputs():
        stamp = _size_and_time(path)
        count += stamp is not None
        digest.update(f"{_name(path, root)}\0{stamp}\n".encode("utf-8", "surrogateescape"))
    return {"lists": _digests(adapter.lists, root), "files": count, "sha256": digest.hexdigest()}


def _digests(paths: Iterable[Path], root: Path) -> dict[str, str]:
    return {_name(path.resolve(), root): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def _size_and_time(path: Path) -> tuple[int, int] | None:
    """Return bytes and nanoseconds of the last change; None where there is no file, so that its arrival is a change."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_size, status.st_mtime_ns


def _name(path: Path, root: Path) -> str:
    return str(path.relative_to(root) if path.is_relative_to(root) else path)
