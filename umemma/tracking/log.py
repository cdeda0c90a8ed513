"""A run of the pipeline in MLflow: one run, with a nested run for each part that was trained.

All is logged at once, when everything is known: importing MLflow costs 1.6 s, which each training process would pay,
and a tower that comes from DVC's cache has its curve in the run like any other. Points go in one batch: a call for each
costs 4.6 ms with SQLite, 1,000 in a batch 70 ms.

Logging the same run again brings its files up to date and adds none; one whose logging was cut off is removed and logged
anew. So a run is first kept as files, then logged from them, and removed: `python -m umemma.tracking.log` logs what is kept,
and may be called, and killed, at any time. With `--warn` a store that cannot be written to is no error.
"""

import argparse
import os
import shutil
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

import mlflow
from mlflow.tracking.context.registry import resolve_tags
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NOTE

from umemma.errors import run as run_main
from umemma.files import sha256
from umemma.paths import home
from umemma.serving.folder import SUMS
from umemma.tracking import address, entities, record
from umemma.tracking.check import TrackingError
from umemma.tracking.database import locked
from umemma.tracking.record import Data, Record, Run
from umemma.tracking.store import REFUSALS, opened

IDENTITY, MODEL = "umemma.run", "umemma.model"  # tags: by which a run is found again, the digest of its model
_KIND = {"mlflow.experimentKind": "custom_model_development"}  # or MLflow's page opens on traces of language models


def log(run: Run, root: Path) -> str:
    """Log a run and its parts, and return its id; `root` is the project's. Raises TrackingError."""
    path = address.database(address.address(root))
    with opened(root) as client:
        experiment = _experiment(client, run.experiment, path.parent / "artifacts" / run.experiment if path else None)
        mlflow.set_experiment(experiment_id=experiment)  # for models, which MLflow logs there
        return _logged(client, experiment, run)


def log_kept(root: Path) -> Iterator[str]:
    """Log the runs that are kept, and yield their names; the rest stays. Raises TrackingError.

    Each model is asked through MLflow before it is logged, see `umemma.tracking.model.check`.
    """
    with locked(record.kept(root)):
        for folder in record.folders(root):
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
    except REFUSALS as error:
        return str(error)
    return None


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
        if run.model and whole.data.tags.get(MODEL) != _digest(run.model):
            _log_model(client, whole.info.run_id, run)
            for name, value in run.tags.items():  # what is traced is this model, of other code than the one before
                client.set_tag(whole.info.run_id, name, value)
        return str(whole.info.run_id)
    for each in found:  # by a process that was killed
        _remove(client, experiment, each.info.run_id)
    tags = {**resolve_tags(), **run.tags, IDENTITY: run.identity}
    identifier = _created(client, experiment, run.record, run.data, tags)
    model = _log_model(client, identifier, run) if run.model else None
    client.log_batch(identifier, metrics=entities.figures(run, model))
    for part in run.record.parts:
        below = _created(client, experiment, part, run.data, {**tags, MLFLOW_PARENT_RUN_ID: identifier})
        client.log_batch(below, metrics=entities.curve(part))
        client.set_terminated(below)
    client.set_tag(identifier, MLFLOW_RUN_NOTE, run.note)
    client.set_terminated(identifier)  # one that has ended is whole
    return identifier


def _created(client: mlflow.MlflowClient, experiment: str, part: Record, data: Data, tags: Mapping[str, str]) -> str:
    identifier = client.create_run(experiment, tags=dict(tags), run_name=part.name).info.run_id
    client.log_batch(identifier, params=entities.params(part))
    splits = ["train"] if MLFLOW_PARENT_RUN_ID in tags else list(data.num_samples)
    client.log_inputs(identifier, datasets=entities.inputs(data, splits))
    _log_files(client, identifier, part)
    return str(identifier)


def _remove(client: mlflow.MlflowClient, experiment: str, identifier: str) -> None:
    for model in client.search_logged_models([experiment], f"source_run_id = '{identifier}'"):
        client.delete_logged_model(model.model_id)
    client.delete_run(identifier)


def _log_model(client: mlflow.MlflowClient, identifier: str, run: Run) -> str:
    from umemma.tracking import model

    assert run.model
    model.check(run.model, run.examples)
    logged = model.log(run.model, run.record.name, identifier)
    client.set_logged_model_tags(logged, {MODEL: _digest(run.model)})
    client.set_tag(identifier, MODEL, _digest(run.model))
    return logged


def _digest(folder: Path) -> str:
    return sha256(folder / SUMS)


def _log_files(client: mlflow.MlflowClient, identifier: str, part: Record) -> None:
    for folder, paths in part.artifacts.items():
        for path in paths:
            client.log_artifact(identifier, str(path), folder)


def main() -> None:
    """Log what is kept."""
    parser = argparse.ArgumentParser(description="Log to MLflow the runs that are kept.")
    parser.add_argument("--warn", action="store_true", help="a store that cannot be written to is no error")
    is_warning = parser.parse_args().warn
    try:
        for name in log_kept(home()):
            print(f"logged to MLflow: {name}")
    except TrackingError as error:
        if not is_warning:
            raise TrackingError(f"{error}; what could not be logged is kept, `make log` tries again") from None
        print(f"WARNING the run is not in MLflow: {error}; it is kept, and `make log` logs it")


if __name__ == "__main__":
    run_main(main)
