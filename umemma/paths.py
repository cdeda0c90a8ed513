"""Where raw data, runs and weights lie."""

import os
from pathlib import Path


def home() -> Path:
    """Return `$UMEMMA_HOME`, else the current folder: what relative paths to raw data and weights start from."""
    return Path(os.environ.get("UMEMMA_HOME") or Path.cwd()).resolve()


def weights_file(path: str | Path) -> Path:
    """Return where a file of weights lies: relative to the project's root, else to `$UMEMMA_DATA`, beside raw data."""
    own, beside = home() / Path(path).expanduser(), Path(os.environ.get("UMEMMA_DATA", home())) / path
    return beside if beside.exists() and not own.exists() else own
