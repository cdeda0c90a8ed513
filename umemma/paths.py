"""Where raw data, runs and weights lie, in an experiment's own folder too."""

import os
from pathlib import Path


def home() -> Path:
    """Return the main checkout's root: experiments run in folders of their own, but share raw data and runs."""
    return Path(os.environ.get("UMEMMA_HOME") or os.environ.get("DVC_ROOT") or Path.cwd()).resolve()


def weights_file(path: str | Path) -> Path:
    """Return where a file of weights lies: relative to the project's root, else to `$UMEMMA_DATA`, beside raw data."""
    own, beside = home() / Path(path).expanduser(), Path(os.environ.get("UMEMMA_DATA", home())) / path
    return beside if beside.exists() and not own.exists() else own
