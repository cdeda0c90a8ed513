"""Every error that the user can fix, as one small tree.

Each message names the file or section, the key, the value and what would be accepted, and nothing that only a caller
knows: which file a setting was read from, which command recreates a file. A caller that knows adds it (`advise`). An
internal bug is an `assert` instead. `run` is the one place that turns such an error into a short line and an exit
code.
"""

import difflib
import errno
import os
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from umemma.redaction import redacted
from umemma.visible import visible, visible_output


class UmemmaError(Exception):
    """An error that the user can fix; the message says what and where. Exit code 2."""

    exit_code = 2

    def __reduce__(self) -> tuple[Any, ...]:
        """Let it pass from one process to another whole: by itself an exception is made anew from its message alone."""
        return _copied, (type(self), self.args, vars(self))


def _copied(kind: type[UmemmaError], arguments: tuple[Any, ...], attributes: dict[str, Any]) -> UmemmaError:
    error = kind.__new__(kind, *arguments)
    vars(error).update(attributes)
    return error


class ParameterError(UmemmaError):
    """A key or value in the parameters that is not accepted."""


class SettingError(ParameterError):
    """An invalid setting passed in by a caller; the message starts with its key and names no file."""


class DataError(UmemmaError):
    """Raw data, a shard or an array that is missing, damaged or not as declared."""


class OverLimit(DataError):
    """A file that would take more of this machine than its data set's `limits` allow; the message names the one hit."""


class DamagedFile(DataError):
    """A file that this library wrote, missing or damaged; what wrote it can recreate it. `path` is all of it."""

    def __init__(self, message: str, path: Path) -> None:
        super().__init__(message)
        self.path = path


class DamagedRawFiles(DataError):
    """Raw files, missing or damaged in a folder that this library fills: delete and download them again."""


class DownloadError(UmemmaError):
    """A file that could not be downloaded, or is not the expected one."""


class TrainingError(UmemmaError):
    """Training diverged: the loss is NaN or infinite. `keys` are the digests of the samples of that batch."""

    def __init__(self, message: str, keys: tuple[int, ...] = ()) -> None:
        super().__init__(message)
        self.keys = keys


class GateFailure(UmemmaError):
    """The data or the model failed a quality gate. Exit code 1."""

    exit_code = 1


def unknown(where: str, kind: str, value: object, choices: Iterable[str]) -> str:
    """Return the message for an unknown name: where it occurs, the valid choices, and the closest match."""
    choices = sorted(choices)
    matches = difflib.get_close_matches(str(value), choices, n=1)
    hint = f" Did you mean {matches[0]!r}?" if matches else ""
    return f"{where}: there is no {kind} called {value!r}; there are {some(choices, 30)}.{hint}"


def some(items: Iterable[str], most: int = 5) -> str:
    """Return the first `most` items and how many more there are, as text."""
    items = list(items)
    return ", ".join(items[:most]) + (f" and {len(items) - most} more" if len(items) > most else "")


def run(main: Callable[[], None], advise: Callable[[UmemmaError], str] = str) -> None:
    """Call a script's `main`; on an error print `ERROR:` and what `advise` returns, and exit with the error's code.

    Whatever is printed on the way commands no terminal and holds no secret.
    """
    try:
        with visible_output():
            main()
    except UmemmaError as error:
        print(visible(redacted(f"ERROR: {advise(error)}")), file=sys.stderr, flush=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:  # whoever reads the output has had enough: `... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except OSError as error:
        if (sentence := _of_the_disk(error)) is None:
            raise
        print(visible(redacted(f"ERROR: {sentence}")), file=sys.stderr, flush=True)
        sys.exit(UmemmaError.exit_code)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr, flush=True)
        sys.exit(128 + signal.SIGINT)


def _of_the_disk(error: OSError) -> str | None:
    """Return what is to be done about an error of a disk or its rights; None for any other."""
    where = f"{error.filename}: " if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"{where}{error.strerror}. Make room there, and for temporary files in {_temporary()}, then start again"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{where}{error.strerror}: this user must be able to read and write there"
    if error.errno in (errno.ENOLCK, errno.EOPNOTSUPP):
        return f"{where}{error.strerror}: the file system knows no locks (flock), which the project's folder needs"
    if "No usable temporary directory" in str(error):
        return f"{error.strerror}: make room in one of them, or name another folder in TMPDIR"
    return None


def _temporary() -> str:
    return os.environ.get("TMPDIR") or "/tmp"
