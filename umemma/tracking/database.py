"""MLflow's SQLite file, made and migrated beside its place and renamed when it is whole.

MLflow makes its tables in place, in some fifty transactions: a process killed in between leaves a file that no later
one can use, and two at once spoil it as well. Whoever opens the file calls `ready` first.
"""

import fcntl
import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from alembic.util.exc import CommandError
from mlflow.exceptions import MlflowException
from mlflow.store.db import utils
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from sqlalchemy.exc import SQLAlchemyError

from umemma.tracking.check import TrackingError

logging.getLogger("mlflow").setLevel(logging.ERROR)  # or the first run's log is a page of migrations


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Exclude other processes that make this store or log to it; the kernel releases the lock when a process ends."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def ready(path: Path) -> None:
    """Make the file if there is none, or bring an older one up to this MLflow; the caller holds `locked`.

    A file whose making was cut off, and in which nothing was logged, is set aside as `*.broken`. Raises TrackingError.
    """
    for left in path.parent.glob(f".{path.name}.*.part*"):  # by a process that was killed
        left.unlink(missing_ok=True)
    if path.exists() and _is_current(path):
        return
    if path.exists() and not _has_runs(path):
        os.replace(path, path.with_name(path.name + ".broken"))
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    if path.exists():
        with closing(sqlite3.connect(path)) as old, closing(sqlite3.connect(part)) as new:
            old.backup(new)
    try:
        _migrate(part, path.parent / "artifacts")
    except (CommandError, MlflowException, SQLAlchemyError) as error:
        part.unlink(missing_ok=True)
        raise TrackingError(
            f"{path} cannot be brought up to this version of MLflow: {str(error).splitlines()[0]}. It is as it was; move it "
            "away to start anew, or open it with the MLflow that wrote it"
        ) from error
    os.replace(part, path)


def _migrate(part: Path, artifacts: Path) -> None:
    """Make or upgrade all tables; the experiment `Default` that comes with them gets its artifacts beside the file."""
    uri = f"sqlite:///{part}"
    engine = utils.create_sqlalchemy_engine_with_retry(uri)
    if utils._all_tables_exist(engine):
        utils._upgrade_db(engine)
    engine.dispose()
    store = SqlAlchemyStore(uri, artifacts.as_uri())
    store.engine.dispose()
    SqlAlchemyStore._engine_map.pop(uri, None)
    with part.open("rb") as file:
        os.fsync(file.fileno())


def _is_current(path: Path) -> bool:
    return bool(_column(path, "select version_num from alembic_version") == [utils._get_latest_schema_revision()])


def _has_runs(path: Path) -> bool:
    return bool(_column(path, "select count(*) from runs") not in ([], [0]))


def _column(path: Path, query: str) -> list[object]:
    """Return the first column of a query, nothing if its table is not there. Raises TrackingError for no database."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as store:
            return [row[0] for row in store.execute(query)]
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return []
        raise TrackingError(f"{path} cannot be read: {error}") from error
    except sqlite3.DatabaseError as error:
        raise TrackingError(f"{path} is no database of MLflow ({error}): move it away, a new one is made") from error
