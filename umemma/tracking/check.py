"""Whether MLflow's store can be written to, asked before anything is trained: `python -m umemma.tracking.check`.

Each stage that DVC starts asks first (stages/__init__.py), in a process of its own, so that no result depends on this
code and a store that hangs is given up after `SECONDS`. A file is tried as it is, in milliseconds. A server is asked with
MLflow's own client, which knows every way to log in; that takes 2 s, so the answer holds for `GOOD_FOR` seconds.
"""

import os
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryFile
from urllib.parse import unquote, urlsplit

from umemma.errors import ParameterError, UmemmaError, run, unknown
from umemma.parent_death import end_with_parent
from umemma.paths import home
from umemma.redaction import redacted
from umemma.tracking.address import VARIABLE, address, database

WHEN = "UMEMMA_TRACKING"
WHENS = ("now", "later")
SECONDS = 8.0
GOOD_FOR = 900.0


class TrackingError(UmemmaError):
    """MLflow's store cannot be reached or written to."""


def is_later() -> bool:
    """Whether a store that cannot be reached stops no run: `$UMEMMA_TRACKING` is `later`."""
    when = os.environ.get(WHEN) or WHENS[0]
    if when not in WHENS:
        raise ParameterError(unknown(f"${WHEN}", "time to log to MLflow", when, WHENS))
    return when == "later"


def check(root: Path) -> None:
    """Raise TrackingError if the runs of this project cannot be logged, unless they may be logged later."""
    if is_later():
        return
    if reason := trouble(root):
        raise TrackingError(
            f"MLflow's store {redacted(address(root))} cannot be written to: {redacted(reason)}. No work was begun. Mend it, "
            f"or name another one in {VARIABLE} (unset: .mlflow/ of the project), or set {WHEN}=later: the run goes on and "
            "is kept, and `make log` logs it"
        )


def trouble(root: Path) -> str | None:
    """Return why the store cannot be written to, within `SECONDS`, or None."""
    uri = address(root)
    if _is_known_good(root, uri):
        return None
    reason = _within(SECONDS, _asking(uri))
    if reason is None:
        _note_good(root, uri)
    return reason


def _asking(uri: str) -> Callable[[], str | None]:
    """Return the function that tries a store; what is slow to load is loaded here, outside of the time limit."""
    if path := database(uri):
        return lambda: file_trouble(path)
    if "://" not in uri or uri.startswith("file:"):
        folder = Path(unquote(urlsplit(uri).path)) if uri.startswith("file:") else Path(uri)
        return lambda: folder_trouble(folder)
    from umemma.tracking.log import server_trouble

    return lambda: server_trouble(uri, datetime.now(UTC))


def file_trouble(path: Path) -> str | None:
    """Return why a SQLite file cannot be written to, or made. One that is in use by others is fine."""
    if not path.exists():
        return folder_trouble(path.parent)
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=0)) as store:
            store.execute("BEGIN IMMEDIATE")
            store.execute("ROLLBACK")
    except sqlite3.Error as error:
        return None if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) else str(error)
    return folder_trouble(path.parent)  # SQLite writes its journal there


def folder_trouble(folder: Path) -> str | None:
    """Return why nothing can be written in a folder that is there or can be made; a file is made in it and removed."""
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    try:
        with TemporaryFile(dir=existing):
            return None
    except OSError as error:
        return f"{existing}: {error.strerror}"


def _within(seconds: float, ask: Callable[[], str | None]) -> str | None:
    """Return the answer, or that there is none in time: a dead network file system or name server answers nothing."""
    answers: list[str | None] = []
    thread = threading.Thread(target=lambda: answers.append(_answer(ask)), daemon=True)
    thread.start()
    thread.join(seconds)
    return answers[0] if answers else f"no answer within {seconds:.0f} s"


def _answer(ask: Callable[[], str | None]) -> str | None:
    try:
        return ask()
    except Exception as error:  # in a thread it would be lost
        return f"{type(error).__name__}: {error}"


def _note(root: Path, uri: str) -> Path:
    return root / ".dvc" / "tmp" / f"tracking-{sha256(uri.encode()).hexdigest()[:12]}"


def _is_known_good(root: Path, uri: str) -> bool:
    """Whether a server answered a short while ago; a file is tried each time."""
    note = _note(root, uri)
    return database(uri) is None and note.exists() and 0 <= time.time() - note.stat().st_mtime < GOOD_FOR


def _note_good(root: Path, uri: str) -> None:
    if database(uri) is None and (note := _note(root, uri)).parent.is_dir():
        note.touch()


if __name__ == "__main__":
    end_with_parent()
    run(lambda: check(home()))
