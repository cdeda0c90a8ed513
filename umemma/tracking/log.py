"""A run of the pipeline in MLflow: one run, with a nested run for each part that was trained.

All is logged at once, when everything is known: importing MLflow costs 1.6 s, which each training process would pay,
and a tower that comes from DVC's cache has its curve in the run like any other. Points go in one batch: a call for each
costs 4.6 ms with SQLite, 1,000 in a batch 70 ms.

Logging the same run again brings its files up to date and adds none; one whose logging was cut off is removed and logged
anew. So `log` may be called whenever in doubt.
"""

import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from datetime import datetime
from hashlib import sha256
from pathlib import Path

os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # the address may hold a password
os.environ.setdefault(
    "MLFLOW_HTTP_REQUEST_TIMEOUT", "30"
)  # MLflow's own 7 tries of 120 s would hold a run for a quarter of an hour
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")

import mlflow
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param
from mlflow.exceptions import MlflowException
from mlflow.tracking.context.registry import resolve_tags
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT, MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NOTE
from sqlalchemy.exc import SQLAlchemyError

from umemma.tracking import address, record
from umemma.tracking.check import TrackingError, trouble
from umemma.tracking.database import locked, ready
from umemma.tracking.record import Data, Record, Run

IDENTITY = "umemma.run"  # the tag by which a run is found again
_CONTEXTS = {"train": "training", "val": "validation", "test": "testing"}
_KIND = {"mlflow.experimentKind": "custom_model_development"}  # or MLflow's page opens on traces of language models
_MOST_CHARS = 250  # of a name, says MLflow


def log(run: Run, root: Path) -> str:
    """Log a run and its parts, and return its id; `root` is the project's. Raises TrackingError."""
    if reason := trouble(root):
        raise TrackingError(address.redacted(reason))
    try:
        with _store(root, run.experiment) as (client, experiment):
            return _logged(client, experiment, run)
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise TrackingError(address.redacted(error)) from None  # the error's own text may hold a password


def log_or_keep(run: Run, root: Path) -> str | None:
    """Log a run; if that fails, keep it for `log_kept` and return why."""
    try:
        log(run, root)
    except TrackingError as error:
        record.write(run, _kept(root) / run.identity)
        return str(error)
    return None


def log_kept(root: Path) -> Iterator[str]:
    """Log the runs that were kept, and yield their names. Raises TrackingError, and keeps those that are left."""
    for folder in sorted(_kept(root).glob("*/")):
        run = record.read(folder)
        log(run, root)
        shutil.rmtree(folder)
        yield run.record.name


def server_trouble(uri: str, now: datetime) -> str | None:
    """Return why nothing can be written to a server or a database server; the time of the check is written to it."""
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
    try:
        client = mlflow.MlflowClient(uri)
        client.set_experiment_tag(_experiment(client, "Default"), "umemma.checked", now.isoformat(timespec="seconds"))
    except (MlflowException, SQLAlchemyError) as error:
        return str(error)
    return None


def _kept(root: Path) -> Path:
    return root / address.STORE / "later"


@contextmanager
def _store(root: Path, experiment: str) -> Iterator[tuple[mlflow.MlflowClient, str]]:
    """Yield a client and the id of an experiment; a SQLite file is made if need be, and used by one process at a time."""
    uri = address.address(root)
    path = address.database(uri)
    with locked(path.parent) if path else nullcontext():
        if path:
            ready(path)
        mlflow.set_tracking_uri(uri)
        client = mlflow.MlflowClient(uri)
        yield client, _experiment(client, experiment, path.parent / "artifacts" / experiment if path else None)


def _experiment(client: mlflow.MlflowClient, name: str, artifacts: Path | None = None) -> str:
    """Return the id of an experiment, made if need be, with its artifacts in a folder or where the store puts them."""
    existing = client.get_experiment_by_name(name)
    if existing is None:
        return str(client.create_experiment(name, artifacts.as_uri() if artifacts else None, dict(_KIND)))
    if existing.lifecycle_stage == "deleted":
        client.restore_experiment(existing.experiment_id)
    return str(existing.experiment_id)


def _logged(client: mlflow.MlflowClient, experiment: str, run: Run) -> str:
    found = client.search_runs([experiment], f"tags.`{IDENTITY}` = '{run.identity}'")
    whole = next(
        (each for each in found if each.info.status == "FINISHED" and MLFLOW_PARENT_RUN_ID not in each.data.tags), None
    )
    if whole:
        client.set_tag(whole.info.run_id, MLFLOW_RUN_NOTE, run.note)
        _log_files(client, whole.info.run_id, run.record)
        return str(whole.info.run_id)
    for each in found:  # by a process that was killed
        client.delete_run(each.info.run_id)
    tags = {**resolve_tags(), **run.tags, IDENTITY: run.identity}
    identifier = _log_part(client, experiment, run.record, run.data, tags)
    client.set_tag(identifier, MLFLOW_RUN_NOTE, run.note)
    client.set_terminated(identifier)
    return identifier


def _log_part(client: mlflow.MlflowClient, experiment: str, part: Record, data: Data, tags: Mapping[str, str]) -> str:
    """Log a run with those below it, which end first: one that has ended is whole."""
    identifier = client.create_run(experiment, tags=dict(tags), run_name=part.name).info.run_id
    client.log_batch(identifier, metrics=_points(part), params=_params(part))
    client.log_inputs(identifier, datasets=_inputs(data, ["train"] if MLFLOW_PARENT_RUN_ID in tags else _CONTEXTS))
    _log_files(client, identifier, part)
    for below in part.parts:
        client.set_terminated(_log_part(client, experiment, below, data, {**tags, MLFLOW_PARENT_RUN_ID: identifier}))
    return str(identifier)


def _log_files(client: mlflow.MlflowClient, identifier: str, part: Record) -> None:
    for folder, paths in part.artifacts.items():
        for path in paths:
            client.log_artifact(identifier, str(path), folder)


def _points(part: Record) -> list[Metric]:
    """Return the final figures at the last step of the curve, and the curve; a single row is no curve."""
    now, last = int(time.time() * 1000), int(part.curve[-1]["step"]) if part.curve else 0
    return [Metric(_name(name), value, now, last) for name, value in part.metrics.items()] + [
        Metric(_name(name), value, now, int(row["step"]))
        for row in part.curve
        for name, value in row.items()
        if name not in ("step", "samples_seen")
    ]


def _params(part: Record) -> list[Param]:
    return [Param(key, value if isinstance(value, str) else json.dumps(value)) for key, value in _flat(part.parameters)]


def _flat(parameters: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yield (dotted name, value), without what is not set: a row less in each comparison."""
    for name, value in parameters.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        elif value not in (None, (), [], ""):
            yield prefix + name, int(value) if isinstance(value, float) and value.is_integer() else value


def _inputs(data: Data, splits: Iterable[str]) -> list[DatasetInput]:
    return [
        DatasetInput(
            Dataset(
                name=f"{data.name} {split}",
                digest=data.sha256[:36],
                source_type="local",
                source=json.dumps({"uri": data.folder}),
                profile=json.dumps({"num_rows": data.num_samples[split], "modalities": list(data.modalities)}),
            ),
            [
                InputTag(key, value)
                for key, value in {
                    MLFLOW_DATASET_CONTEXT: _CONTEXTS[split],
                    "shards.sha256": data.sha256,
                    **data.tags,
                }.items()
            ],
        )
        for split in splits
        if data.num_samples.get(split)
    ]


def _name(metric: str) -> str:
    """Replace `+`, which MLflow does not allow in a name, and shorten what it finds too long."""
    name = metric.replace("+", " and ")
    return name if len(name) <= _MOST_CHARS else f"{name[: _MOST_CHARS - 13]} {sha256(name.encode()).hexdigest()[:12]}"
