"""Every error that the user can fix, as one small tree.

Each message names the file or section, the key, the value and what would be accepted, and nothing that only a caller
knows: which file a setting was read from, which command makes a file again. A caller that knows adds it (`advise`). A
bug of our own is an `assert` instead. `run` is the one place that turns such an error into a short line and an exit
code.
"""

import difflib
import sys
from collections.abc import Callable, Iterable
from pathlib import Path


class UmemmaError(Exception):
    """An error that the user can fix; the message says what and where. Exit code 2."""

    exit_code = 2


class ParameterError(UmemmaError):
    """A key or value among the parameters that nothing accepts."""


class SettingError(ParameterError):
    """A setting that was passed on by whoever read it; the message starts with its key, and names no file."""


class DataError(UmemmaError):
    """Raw data, a shard or a decoded array that is missing, damaged or not what was promised."""


class DamagedFile(DataError):
    """A file that this library wrote, missing or damaged; what made it can make it again. `path` is all of it."""

    def __init__(self, message: str, path: Path) -> None:
        super().__init__(message)
        self.path = path


class DamagedRawFiles(DataError):
    """Raw files, missing or damaged in a folder that this library fills: removed and fetched again they are right."""


class DownloadError(UmemmaError):
    """A file that could not be fetched, or is not the file that was asked for."""


class TrainingError(UmemmaError):
    """Training that led nowhere, such as to a loss that is no number."""


class GateFailure(UmemmaError):
    """The data or the model was judged and did not pass. Exit code 1."""

    exit_code = 1


def unknown(where: str, kind: str, value: object, choices: Iterable[str]) -> str:
    """Return the sentence for a name that does not exist: where it stands, what there is, what was likely meant."""
    choices = sorted(choices)
    near = difflib.get_close_matches(str(value), choices, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"{where}: there is no {kind} called {value!r}; there are {some(choices, 30)}.{hint}"


def some(items: Iterable[str], most: int = 5) -> str:
    """Return the first `most` items and how many more there are, for a sentence."""
    items = list(items)
    return ", ".join(items[:most]) + (f" and {len(items) - most} more" if len(items) > most else "")


def run(main: Callable[[], None], advise: Callable[[UmemmaError], str] = str) -> None:
    """Call a script's `main`; end with `ERROR:`, what `advise` makes of the error, and the error's exit code."""
    try:
        main()
    except UmemmaError as error:
        print(f"ERROR: {advise(error)}", file=sys.stderr, flush=True)
        sys.exit(error.exit_code)
