"""MLflow's client of the store that a project's runs go to; whatever the store refuses is a TrackingError of one line."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # the address may hold a password
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")  # with MLflow's own 7 tries of 120 s a dead server
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # would hold a run for a quarter of an hour

import mlflow
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from umemma.redaction import redacted
from umemma.tracking import address
from umemma.tracking.check import TrackingError, trouble
from umemma.tracking.database import locked, ready

REFUSALS = (MlflowException, SQLAlchemyError, OSError)


@contextmanager
def opened(root: Path) -> Iterator[mlflow.MlflowClient]:
    """Yield a client; a SQLite file is made if need be, and used by one process at a time. Raises TrackingError."""
    if reason := trouble(root):
        raise TrackingError(redacted(reason))
    uri = address.address(root)
    path = address.database(uri)
    with locked(path.parent) if path else nullcontext():
        if path:
            ready(path)
        with _client(uri) as client:
            yield client


@contextmanager
def opened_to_read(root: Path) -> Iterator[mlflow.MlflowClient]:
    """Yield a client of a store that is there; nothing is made or locked. Raises TrackingError."""
    uri = address.address(root)
    if (path := address.database(uri)) and not path.exists():
        raise TrackingError(
            f"there is no store of MLflow at {path}: go to the root of the project, or set {address.VARIABLE} to the address"
        )
    with _client(uri) as client:
        yield client


@contextmanager
def _client(uri: str) -> Iterator[mlflow.MlflowClient]:
    """Yield a client while its store is MLflow's global one, too: parts of MLflow ask nothing else.

    MLflow puts that into the environment, where it would pass for the user's choice afterwards.
    """
    before = os.environ.get(address.VARIABLE)
    mlflow.set_tracking_uri(uri)
    try:
        yield mlflow.MlflowClient(uri)
    except REFUSALS as error:
        raise TrackingError(f"MLflow's store {redacted(uri)}: {_reason(error)}") from None
    finally:
        mlflow.set_tracking_uri(before)  # type: ignore[arg-type]  # None is the default store


def _reason(error: Exception) -> str:
    """Return what the store refuses, without what may hold a password, and without the history of each try."""
    text = redacted(str(error) or type(error).__name__)
    return "it does not answer" if re.search(r"HTTPS?ConnectionPool", text) else " ".join(text.split())
