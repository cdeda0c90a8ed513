"""A path in a table to a file's bytes, without ever leaving the folders that the data may lie in.

What counts is where a path really leads, links and `..` followed: a table from elsewhere must not be able to put any
file of this machine into shards that are passed on. An absolute path that leads below the root is as good as another.
Only regular files are opened: a named pipe would be waited for for ever.
"""

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from umemma.data.sample import BadSample
from umemma.errors import ParameterError


def real_roots(root: Path, others: Sequence[str]) -> tuple[Path, ...]:
    """Return the folders that files may lie in, links followed; `others` are `dataset.options.other_roots`."""
    for other in others:
        if not isinstance(other, str) or not Path(other).is_absolute():
            raise ParameterError(f"dataset.options.other_roots must list absolute folders, not {other!r}")
    return tuple(Path(os.path.realpath(folder)) for folder in (root, *map(Path, others)))


def located(named: str, base: Path, roots: Sequence[Path]) -> Path:
    """Return where `named`, relative to `base`, really lies. Raises BadSample where that is outside of all `roots`."""
    if "\0" in named:
        raise BadSample(named.replace("\0", "\\0"), "the path holds a NUL byte")
    path = Path(os.path.realpath(base / named))
    if not any(path.is_relative_to(root) for root in roots):
        raise BadSample(
            named,
            f"leads out of the data root: to {path}, which is not below "
            f"{' or '.join(map(str, roots))}; dataset.options.other_roots may name further folders",
        )
    return path


def content(named: str, base: Path, roots: Sequence[Path]) -> bytes:
    """Read the file that a table names. Raises BadSample: outside, not there, no regular file, unreadable or empty."""
    path = located(named, base, roots)
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise BadSample(named, "is a folder" if stat.S_ISDIR(mode) else "is no regular file")
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise BadSample(named, f"does not exist{_hint(named)}") from error
    except OSError as error:
        raise BadSample(named, f"cannot be read: {error.strerror}") from error
    if not data:
        raise BadSample(named, "is empty (0 bytes)")
    return data


def _hint(named: str) -> str:
    if "://" in named:
        return ": it is an address, files must be on disk"
    return ": folders are separated by '/' here" if "\\" in named else ""
