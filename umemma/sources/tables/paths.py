"""Reads a file that a table names, without ever leaving the allowed data folders.

A path is judged after links and `..` are resolved: a third party's table must not be able to put arbitrary files of
this machine into shards that are passed on. An absolute path below the root is allowed. Only regular files are opened:
reading a named pipe would block forever.
"""

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from umemma import limits
from umemma.data.sample import BadSample
from umemma.errors import OverLimit, ParameterError


def real_roots(root: Path, others: Sequence[str]) -> tuple[Path, ...]:
    """Return the folders that files may be in, links resolved; `others` are `dataset.options.other_roots`."""
    for other in others:
        if not isinstance(other, str) or not Path(other).is_absolute():
            raise ParameterError(f"dataset.options.other_roots must list absolute folders, not {other!r}")
    return tuple(Path(os.path.realpath(folder)) for folder in (root, *map(Path, others)))


def located(named: str, base: Path, roots: Sequence[Path]) -> Path:
    """Return the resolved path of `named`, relative to `base`. Raises BadSample if it is outside of all `roots`.

    Without a root no path is read at all.
    """
    if not roots:
        raise BadSample(named, "is a path, and no folder is given that files may be read from")
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
    """Read a file that a table names. Raises BadSample if outside, missing, not regular, unreadable or empty."""
    path = located(named, base, roots)
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise BadSample(named, "is a folder" if stat.S_ISDIR(mode) else "is no regular file")
        data = limits.content(path)
    except FileNotFoundError as error:
        raise BadSample(named, f"does not exist{_hint(named)}") from error
    except OSError as error:
        raise BadSample(named, f"cannot be read: {error.strerror}") from error
    except OverLimit as error:
        raise BadSample(named, str(error)) from error
    if not data:
        raise BadSample(named, "is empty (0 bytes)")
    return data


def _hint(named: str) -> str:
    if "://" in named:
        return ": it is an address, files must be on disk"
    if "\\" in named:
        return ": folders are separated by '/' here"
    return ": `dataset.options.missing_files: hole` would make it a missing modality"
