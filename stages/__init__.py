"""One script per stage: `python -m stages.NAME`, as dvc.yaml runs it.

On import, before any other package is imported:

- A Python without the packages, or one that would run another checkout's code, fails with a clear message.
- Telemetry is disabled.
- A stage that DVC starts first asks whether MLflow's store can be written to, in a process of its own: found before
  anything is trained, and no result depends on the code that asks.
- Waiting OpenMP threads sleep soon. By default they spin, which costs nothing on an idle machine, but with two towers
  in parallel on two cores an epoch took 51 s instead of 6 (alone: 2 s either way).
- DVC's main checkout is passed on to the library.
- A stage dies with the DVC that started it. Otherwise an orphan would go on training and later overwrite the output of
  the next run.
- Ctrl-C ends a stage at once and without a trace, also while it imports packages: what it writes is whole or not there.

- Where a server of copies is named, one of these runs the stage (stages/_forked.py), and nothing more is imported here.

The first check must work in any Python from 3.8 on.
"""

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from umemma.errors import UmemmaError

MANIFEST = Path("data/shards/manifest.parquet")
NAMES = "names.json"  # of the models whose predictions are in a folder: DVC would take an empty one for missing


def _end(sentence: str) -> None:
    print("ERROR: " + sentence, file=sys.stderr, flush=True)
    sys.exit(2)


if sys.argv[0] == "-m":  # true while `python -m` imports the package of the module to run
    # The project is installed in its environment. So if Python leaves the current folder out of its path, an
    # experiment, which runs in a separate folder, would run the code of the main checkout.
    _root = Path(__file__).resolve().parents[1]
    if _root != Path.cwd():
        _end(
            f"this is {Path.cwd()}, but the code that would run is that of {_root}: unset PYTHONSAFEPATH (or leave out "
            "`python -P` and `-I`), and start a stage in the root of its project"
        )
    if not all(find_spec(package) for package in ("pandas", "pydantic", "torch")):
        _end(
            f"{sys.executable} lacks the project's packages: first run `source .venv/bin/activate` (`make .venv/.synced` "
            "makes that environment), or start the run with `make run`"
        )

os.environ.setdefault("DO_NOT_TRACK", "true")  # not `1`, which MLflow does not understand
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

os.environ.setdefault("GOMP_SPINCOUNT", "1000")

if "DVC_ROOT" in os.environ:
    os.environ.setdefault("UMEMMA_HOME", os.environ["DVC_ROOT"])  # raw data and MLflow runs are shared with experiments

if "DVC_ROOT" in os.environ:
    from umemma.parent_death import end_with_parent

    end_with_parent()

if "DVC_ROOT" in os.environ or sys.argv[0] == "-m":
    signal.signal(signal.SIGINT, signal.SIG_DFL)

if sys.argv[0] == "-m" and "UMEMMA_FORK_SERVER" in os.environ:
    from stages._forked import run_there

    run_there()


def run(main: Callable[[], None]) -> None:
    """Call a stage's `main`; an error that the user can fix becomes a message with the command that fixes it."""
    from stages._recorded import as_it_began
    from umemma import errors

    if "DVC_ROOT" in os.environ:
        asked = subprocess.run([sys.executable, "-m", "umemma.tracking.check"], check=False)
        if asked.returncode:
            sys.exit(asked.returncode)
    errors.run(as_it_began()(main), advised)


def advised(error: "UmemmaError") -> str:
    """Return the library's message, extended by the pipeline's files and commands."""
    from umemma.errors import DamagedFile, DamagedRawFiles, SettingError, TrainingError

    if isinstance(error, SettingError):
        return f"params.yaml: {error}"
    if isinstance(error, DamagedRawFiles):
        return f"{error}: `python -m stages.fetch`"
    if isinstance(error, DamagedFile):
        removed = "`make repair` removes it, also from DVC's cache, and " if error.path.exists() else ""
        return f"{error}; {removed}`make run` makes it again"
    if isinstance(error, TrainingError):
        learning_rate = "in params.yaml pretrain.lr of a tower, fuse.lr and fuse.tower_lr of the fusion"
        return f"{error}, {learning_rate}{_samples(error.keys)}"
    return str(error)


def _samples(keys: "tuple[int, ...]") -> str:
    """Return which samples have these digests of keys, as a sentence; nothing if there are none."""
    if not keys:
        return ""
    from umemma.data import manifest
    from umemma.errors import some
    from umemma.missingness import key_digest

    names, _ = manifest.names(MANIFEST, "train")
    named = dict(zip(key_digest(names).tolist(), names, strict=True))
    return f". The samples of that step: {some(str(named.get(key, key)) for key in keys)}"


def modality_of(description: "str | None") -> str:
    """Return the modality of a `foreach` stage, from DVC's `decode@image` or the script's only argument.

    DVC passes it in a variable rather than through `cmd:`, which a shell would interpret.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("modality", nargs="?", default=os.environ.get("DVC_STAGE", "").partition("@")[2])
    name: str = parser.parse_args().modality
    return name or parser.error("name the modality, as in `python -m stages.decode image`")
