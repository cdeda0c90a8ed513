"""Digests of raw data that the user may change at any time; equal digests mean that nothing has changed.

An adapter of such data has `lists`, the files that its constructor reads, and `inputs()`, the files that `sample`
reads. Lists are hashed by content. Inputs can be large and many, so only path, size and modification time are
hashed: 10,000 files take 0.7 s, most of it to resolve links. A copy of the data with new times therefore counts as
changed, which only costs one more run of `prepare`; the shards come out the same.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from umemma.errors import SettingError


def state(adapter: Any, root: Path) -> dict[str, object]:
    """Return {"lists": {file: sha256}, "files": the number of input files, "sha256": one digest of all of them}.

    `root` must have its links resolved. Raises SettingError for an adapter without `inputs()`.
    """
    if not hasattr(adapter, "inputs"):
        raise SettingError("dataset.watch.each_run must be [] here: the adapter has no inputs() to watch")
    digest, count = hashlib.sha256(), 0
    for path in adapter.inputs():
        stamp = _size_and_time(path)
        count += stamp is not None
        digest.update(f"{_name(path, root)}\0{stamp}\n".encode("utf-8", "surrogateescape"))
    return {"lists": _digests(adapter.lists, root), "files": count, "sha256": digest.hexdigest()}


def _digests(paths: Iterable[Path], root: Path) -> dict[str, str]:
    return {_name(path.resolve(), root): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def _size_and_time(path: Path) -> tuple[int, int] | None:
    """Return size in bytes and modification time in ns; None for a missing file, so that adding it is a change."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_size, status.st_mtime_ns


def _name(path: Path, root: Path) -> str:
    return str(path.relative_to(root) if path.is_relative_to(root) else path)
