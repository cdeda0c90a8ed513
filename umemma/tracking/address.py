"""Which MLflow store the runs go to, and names of models in it."""

import os
import re
from pathlib import Path

VARIABLE = "MLFLOW_TRACKING_URI"
STORE = Path(".mlflow")  # below the project's root
RUN = re.compile(r"[0-9a-f]{32}")
_MODEL = re.compile(r"m-[0-9a-f]{32}|(?:models:/)?[^/:@]+(?:/\d+|@[\w.-]+)")
_SQLITE = "sqlite:///"


def address(home: Path) -> str:
    """Return `$MLFLOW_TRACKING_URI`, else the address of the SQLite file in `.mlflow/` of the project's root.

    A relative path starts at the root, too: an experiment runs in a folder of its own, which is removed at its end.
    """
    given = os.environ.get(VARIABLE, "").strip()
    if not given:
        return f"{_SQLITE}{home / STORE / 'mlflow.db'}"
    if given.startswith(_SQLITE) and not given.startswith((f"{_SQLITE}/", f"{_SQLITE}:")):
        return f"{_SQLITE}{home / given.removeprefix(_SQLITE)}"
    if "://" not in given and not given.startswith(("file:", "databricks", "uc")):
        return str(home / given)
    return given


def is_reference(text: str) -> bool:
    """Whether a text looks like a run's id, a logged model's (`m-...`), `name/version` or `name@alias`."""
    return bool(RUN.fullmatch(text) or _MODEL.fullmatch(text))


def database(uri: str) -> Path | None:
    """Return the file of a SQLite store, None of any other."""
    path = uri.removeprefix(_SQLITE).partition("?")[0]
    return Path(path) if uri.startswith(_SQLITE) and path != ":memory:" else None
