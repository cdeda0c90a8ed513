"""One script per stage: `python -m stages.NAME`, as dvc.yaml runs it.

On import, so before any tool is imported:

- Nothing phones home.
- A thread that waits for another sleeps soon. OpenMP's own default spins, which costs nothing on a machine of one's
  own, but with two towers side by side on two cores an epoch took 51 s instead of 6 (alone: 2 s either way).
- A stage ends when the DVC that started it is killed. Without that, an orphan would go on training and later overwrite
  the output of the next run.
"""

import argparse
import ctypes
import os
import signal
import sys

os.environ.setdefault("DO_NOT_TRACK", "true")  # the word: MLflow does not know `1`
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

os.environ.setdefault("GOMP_SPINCOUNT", "1000")

if sys.platform == "linux" and "DVC_ROOT" in os.environ:
    _PR_SET_PDEATHSIG = 1
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def modality_of(description: str | None) -> str:
    """Return the modality that a stage of a `foreach` is about: DVC's `decode@image`, or the script's one argument.

    It reaches the script by a variable of DVC's and not through `cmd:`, since a shell reads that.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("modality", nargs="?", default=os.environ.get("DVC_STAGE", "").partition("@")[2])
    name: str = parser.parse_args().modality
    return name or parser.error("name the modality, as in `python -m stages.decode image`")
