"""MLflow: one run for each run of the pipeline, with a nested run for each part that was trained.

The store is `$MLFLOW_TRACKING_URI`, else a SQLite file with local artifacts under `.mlflow/` of the main checkout, so
that experiments in temporary folders land in the same place. The run is logged in one go when everything is known:
importing MLflow costs 1.6 s, which each training process would pay, and a tower that comes from DVC's cache has its
curve in the run like any other. Points are logged in one batch: a call for each costs 4.6 ms with SQLite, 1,000 in a
batch 70 ms.
"""

import fcntl
import logging
import os
import subprocess
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import mlflow
from mlflow.data.dataset_source_registry import resolve_dataset_source
from mlflow.data.meta_dataset import MetaDataset
from mlflow.entities import Metric, Param

logging.getLogger("mlflow").setLevel(logging.WARNING)  # or the first run's log is a page of database migrations
STORE = Path(".mlflow")


@dataclass(frozen=True)
class Record:
    """What is logged of a run: `parameters` nested, `artifacts` by the folder they appear in.

    `curve` has a row per epoch, with a column `step`; `parts` are nested runs.
    """

    name: str
    parameters: Mapping[str, object]
    metrics: Mapping[str, float]
    curve: Sequence[Mapping[str, float]] = ()
    artifacts: Mapping[str, Sequence[Path]] = field(default_factory=dict)
    parts: Sequence["Record"] = ()


def log(record: Record, *, experiment: str, shards: Path, shards_sha256: str, home: Path) -> None:
    """Log a run and its parts; `shards_sha256` identifies the data in the folder `shards`.

    Tags hold the git commit and the JSON in `$MLFLOW_RUN_CONTEXT`, such as an experiment's name.
    """
    _select(experiment, home)
    with warnings.catch_warnings():  # two of MLflow's own classes claim a local folder
        warnings.filterwarnings("ignore", "The specified dataset source can be interpreted in multiple ways")
        source = resolve_dataset_source(str(shards))
    dataset = MetaDataset(source, name=experiment, digest=shards_sha256[:36])  # type: ignore[abstract]  # it is not
    _log(record, dataset, {"shards.sha256": shards_sha256}, _revisions(), nested=False)


def default_uri(home: Path) -> str:
    """Return the URI of the local store below a project's root."""
    return f"sqlite:///{home / STORE / 'mlflow.db'}"


def _log(
    record: Record, dataset: MetaDataset, data_tags: Mapping[str, str], tags: Mapping[str, str], *, nested: bool
) -> None:
    with mlflow.start_run(run_name=record.name, tags=dict(tags), nested=nested) as active:
        now, last = int(time.time() * 1000), int(record.curve[-1]["step"]) if record.curve else 0
        points = [Metric(_name(name), value, now, last) for name, value in record.metrics.items()]
        points += [
            Metric(_name(name), value, now, int(row["step"]))
            for row in record.curve
            for name, value in row.items()
            if name != "step"
        ]
        params = [Param(key, str(value)) for key, value in _flat(record.parameters)]
        mlflow.MlflowClient().log_batch(active.info.run_id, metrics=points, params=params)
        mlflow.log_input(dataset, "training", dict(data_tags))
        for folder, paths in record.artifacts.items():
            for path in paths:
                mlflow.log_artifact(str(path), folder)
        for part in record.parts:
            _log(part, dataset, data_tags, tags, nested=True)


def _select(experiment: str, home: Path) -> None:
    """Select store and experiment, created by one process at a time: two that create the database at once both fail.

    The tag makes MLflow's UI open on training runs instead of language-model traces.
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
    """Replace `+`, which MLflow does not allow in a name."""
    return metric.replace("+", " and ")


def _flat(parameters: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in parameters.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
