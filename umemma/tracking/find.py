"""A model in MLflow, by its digest or by the name that MLflow has for it; nothing is written.

A store that is not there is not made, and one that cannot be reached is given up soon: whoever asks has other places to
look in.
"""

import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "8")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")

import mlflow
from mlflow.entities import Run, ViewType
from mlflow.exceptions import MlflowException
from mlflow.models import get_model_info

from umemma.tracking import address
from umemma.tracking.log import MODEL
from umemma.tracking.record import LINEAGE
from umemma.tracking.store import opened_to_read

_DIGEST = re.compile(r"[0-9a-f]{64}")
_PARENT = "mlflow.parentRunId"


@dataclass(frozen=True)
class Version:
    """A registered version of a model; `aliases` such as champion."""

    name: str
    version: str
    aliases: tuple[str, ...]


@dataclass(frozen=True)
class Logged:
    """A run that has the model: `tags` are those that say what it was made from; `models` are ids, `m-...`."""

    digest: str
    run: str
    name: str
    experiment: str
    tags: Mapping[str, str]
    models: tuple[str, ...]
    versions: tuple[Version, ...]


def runs(root: Path, digest: str) -> list[Logged]:
    """Return the runs whose model's digest begins so, the newest first. Raises TrackingError."""
    if not _is_there(root):
        return []
    with opened_to_read(root) as client:
        experiments = {one.experiment_id: one.name for one in client.search_experiments()}
        found = client.search_runs(
            list(experiments),
            f"tags.`{MODEL}` LIKE '{digest}%' AND attributes.status = 'FINISHED'",
            ViewType.ACTIVE_ONLY,
            order_by=["attributes.start_time DESC"],
        )
        return [
            _logged(client, run, experiments[run.info.experiment_id]) for run in found if _PARENT not in run.data.tags
        ]


def names(root: Path) -> dict[str, list[str]]:
    """Return {digest: the runs that have the model, as `id 'name'`}, of all runs. Raises TrackingError."""
    if not _is_there(root):
        return {}
    found: dict[str, list[str]] = {}
    with opened_to_read(root) as client:
        experiments, token = [one.experiment_id for one in client.search_experiments()], None
        while token != "":
            page = client.search_runs(experiments, f"tags.`{MODEL}` LIKE '%'", max_results=1000, page_token=token)
            for run in page:
                if _PARENT not in run.data.tags:
                    found.setdefault(run.data.tags[MODEL], []).append(f"{run.info.run_id} {run.info.run_name!r}")
            token = page.token or ""
    return found


def digest_of(root: Path, reference: str) -> str | None:
    """Return the digest of a run's model, of a logged model (`m-...`), or of `name/version` or `name@alias`.

    None if it looks like none of these, or MLflow does not know it. Raises TrackingError.
    """
    if not (address.is_reference(reference) and _is_there(root)):
        return None
    with opened_to_read(root) as client:
        try:
            if address.RUN.fullmatch(reference):
                digest = client.get_run(reference).data.tags.get(MODEL)
            else:
                info = get_model_info(f"models:/{reference.removeprefix('models:/')}")
                digest = (info.metadata or {}).get("digest")
            return digest if _DIGEST.fullmatch(str(digest)) else None
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "NOT_FOUND"):
                return None
            raise


def lineage_file(root: Path, run: str, name: str) -> str | None:
    """Return a file of a run's artifacts that say what it was made from; None if the run has none. Raises TrackingError."""
    with opened_to_read(root) as client, tempfile.TemporaryDirectory() as folder:
        if not any(one.path == f"{LINEAGE}/{name}" for one in client.list_artifacts(run, LINEAGE)):
            return None
        return Path(client.download_artifacts(run, f"{LINEAGE}/{name}", folder)).read_text("utf-8")


def lineage_files(root: Path, name: str) -> Iterator[tuple[str, str]]:
    """Yield (run, this file of what it was made from) of every run that has it. Raises TrackingError."""
    if not _is_there(root):
        return
    for descriptions in names(root).values():
        for run in (description.split()[0] for description in descriptions):
            if (text := lineage_file(root, run, name)) is not None:
                yield run, text


def _logged(client: mlflow.MlflowClient, run: Run, experiment: str) -> Logged:
    identifier = run.info.run_id
    digest = run.data.tags[MODEL]
    models = client.search_logged_models([run.info.experiment_id], f"source_run_id = '{identifier}'")
    versions = [
        Version(one.name, str(one.version), tuple(client.get_model_version(one.name, one.version).aliases))
        for one in client.search_model_versions(f"run_id = '{identifier}'")
        if one.tags.get(MODEL, digest) == digest
    ]
    tags = {name: value for name, value in sorted(run.data.tags.items()) if name.startswith(("git.", "dvc."))}
    ids = tuple(one.model_id for one in models if one.tags.get(MODEL, digest) == digest)
    return Logged(digest, identifier, run.info.run_name, experiment, tags, ids, tuple(versions))


def _is_there(root: Path) -> bool:
    """Whether anything was ever logged; a server is asked."""
    uri = address.address(root)
    place = address.database(uri) or (None if "://" in uri else Path(uri.removeprefix("file:")))
    return place is None or place.exists()
