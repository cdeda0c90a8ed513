"""Atomic writes of files and folders: written to a temporary sibling, then renamed."""

import errno
import glob
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from umemma.errors import DamagedFile, DataError


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write a file or folder to; on success rename it to `path`, otherwise remove it.

    Until then, what was at `path` stays. Raises DataError if the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        if left == temporary or is_left(left):
            _remove(left)
    try:
        yield temporary
        if path.is_dir():
            _remove(path)
        os.replace(temporary, path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            free = shutil.disk_usage(path.parent).free / 2**20
            raise DataError(
                f"the disk is full: {path} could not be written, {free:.0f} MiB are free on that disk; "
                "nothing half-written was left behind"
            ) from error
        raise
    finally:
        _remove(temporary)


def reserve(path: Path) -> None:
    """Take the disk space of a sparse file: written through memory, a full disk would end the process without a word.

    Raises OSError where there is too little.
    """
    with path.open("r+b") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, path.stat().st_size))


def write_json(path: Path, content: Any) -> None:
    """Write JSON whose bytes depend only on the content: keys in the order given, no NaN."""
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")


def read_json(path: Path) -> Any:
    """Read a JSON file that this library wrote. Raises DamagedFile if it is missing or damaged."""
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DamagedFile(f"{path} cannot be read ({error})", path) from error


def sha256(path: Path) -> str:
    """Return a file's sha256 in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_left(part: Path) -> bool:
    """Whether the process that wrote a temporary path of `written_whole` is gone: it was killed."""
    try:
        os.kill(int(part.name.split(".")[-2]), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, ValueError, OverflowError):  # another user's process, or not named by us
        return False
    return False


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
