"""MLflow: one run for each training stage, the only module that knows MLflow.

The store is `$MLFLOW_TRACKING_URI`, else a SQLite file with local artifacts under `.mlflow/` of the main checkout, so
that experiments in temporary folders land in the same place. Points are logged in one batch: a call for each costs
4.6 ms with SQLite, 1,000 in a batch 70 ms.
"""

import fcntl
import logging
import os
import subprocess
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import mlflow
from mlflow.data.dataset_source_registry import resolve_dataset_source
from mlflow.data.meta_dataset import MetaDataset
from mlflow.entities import Metric, Param

logging.getLogger("mlflow").setLevel(logging.WARNING)  # or the first run's log is a page of database migrations
STORE = Path(".mlflow")


def default_uri(home: Path) -> str:
    """Return the local store's address below a project's root."""
    return f"sqlite:///{home / STORE / 'mlflow.db'}"


class Run:
    """An open MLflow run."""

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id

    def curve(self, curve: Sequence[Mapping[str, float]]) -> None:
        """Log every column of a training curve against its step."""
        now = int(time.time() * 1000)
        points = [
            Metric(_name(name), value, now, int(row["step"]))
            for row in curve
            for name, value in row.items()
            if name != "step"
        ]
        mlflow.MlflowClient().log_batch(self._run_id, metrics=points)

    def final(self, metrics: Mapping[str, float]) -> None:
        """Log what the run ended with."""
        mlflow.log_metrics({_name(name): value for name, value in metrics.items()})

    def artifact(self, path: Path, folder: str) -> None:
        """Keep a copy of a file with the run."""
        mlflow.log_artifact(str(path), folder)


@contextmanager
def run(
    name: str, *, experiment: str, parameters: Mapping[str, object], shards_sha256: str, home: Path
) -> Iterator[Run]:
    """Open a run; an exception ends it as FAILED.

    `parameters` is nested; `shards_sha256` identifies the data. Tags hold the git commit and what `$MLFLOW_RUN_CONTEXT`
    has of JSON, such as an experiment's name.
    """
    _select(experiment, home)
    with mlflow.start_run(run_name=name, tags=_revisions()) as active:
        run_id = active.info.run_id
        flat = [Param(key, str(value)) for key, value in _flat(parameters)]
        mlflow.MlflowClient().log_batch(run_id, params=flat)
        with warnings.catch_warnings():  # two of MLflow's own classes claim a local folder
            warnings.filterwarnings("ignore", "The specified dataset source can be interpreted in multiple ways")
            source = resolve_dataset_source("data/shards")
        dataset = MetaDataset(source, name=experiment, digest=shards_sha256[:36])  # type: ignore[abstract]  # it is not
        mlflow.log_input(dataset, "training", {"shards.sha256": shards_sha256})
        yield Run(run_id)


def _select(experiment: str, home: Path) -> None:
    """Choose store and experiment, made one process at a time: two that make the database at once both fail.

    The tag makes MLflow's pages open on training runs; they would open on language-model traces.
    """
    if uri := os.environ.get("MLFLOW_TRACKING_URI"):
        mlflow.set_tracking_uri(uri)
        mlflow.set_experiment(experiment)
        return
    (home / STORE).mkdir(exist_ok=True)
    with (home / STORE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        mlflow.set_tracking_uri(default_uri(home))
        if mlflow.get_experiment_by_name(experiment) is None:
            folder = home / STORE / "artifacts" / experiment
            mlflow.create_experiment(experiment, folder.as_uri(), {"mlflow.experimentKind": "custom_model_development"})
        mlflow.set_experiment(experiment)


def _revisions() -> dict[str, str]:
    git = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
        capture_output=True,
        text=True,
        check=False,
    )
    return {"git.commit": git.stdout.strip()} if git.returncode == 0 else {}


def _name(metric: str) -> str:
    """MLflow allows no `+` in a name."""
    return metric.replace("+", " and ")


def _flat(parameters: Mapping[str, object], prefix: str = "") -> Sequence[tuple[str, object]]:
    found: list[tuple[str, object]] = []
    for name, value in parameters.items():
        found += _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else [(prefix + name, value)]
    return found
