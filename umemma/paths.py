"""Where raw data, runs and weights are found."""

import os
from pathlib import Path


def home() -> Path:
    """Return `$UMEMMA_HOME`, else the current folder: relative paths to raw data and weights start here."""
    return Path(os.environ.get("UMEMMA_HOME") or Path.cwd()).resolve()


def weights_file(path: str | Path) -> Path:
    """Return the path of a weights file: relative to the project's root, else to `$UMEMMA_DATA`, beside raw data."""
    in_project, beside_data = home() / Path(path).expanduser(), Path(os.environ.get("UMEMMA_DATA", home())) / path
    return beside_data if beside_data.exists() and not in_project.exists() else in_project
