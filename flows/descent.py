"""Forward from a raw file, a shard or a sample to the runs, models and answers that were made from it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flows.lineage import EXPORT, Lineage
from flows.objects import NotStored
from flows.runs import Answer, Runs, Sample


@dataclass(frozen=True)
class Use:
    """A model that was made from it: its digest, None if it is stored nowhere, and all places of git that have the run.

    `how` says what it was to the run; `answers` are those on file to the samples concerned, `num_answers` all on file.
    """

    how: Sequence[str]
    samples: Sequence[Sample]
    model: str | None
    dataset: str
    arm: str
    seed: Any
    found_in: Sequence[str]
    mlflow: Sequence[str]
    answers: Sequence[Answer]
    num_answers: int


@dataclass(frozen=True)
class Descent:
    """All that was made from what was asked for; `notes` say of which runs that could not be told, and why."""

    asked: str
    uses: Sequence[Use]
    notes: Sequence[str]


def descent(runs: Runs, asked: str, wanted: str) -> Descent | None:
    """Return what was made from `wanted`: the sha256 of a file, the name of a shard or the key of a sample; None if nothing."""
    uses: list[Use] = []
    notes: list[str] = []
    seen: set[object] = set()
    for run in runs.all:
        artifact = run.artifact(EXPORT)
        if artifact is None or artifact in seen:
            continue
        seen.add(artifact)
        try:
            if (use := _use(runs, run, wanted)) is not None:
                uses.append(use)
        except NotStored as error:
            notes.append(f"{run.where}: {error}")
    if "MLflow" in runs.unread:
        notes.append(f"MLflow could not be asked: {runs.unread['MLflow']}")
    return Descent(asked, uses, notes) if uses else None


def _use(runs: Runs, run: Lineage, wanted: str) -> Use | None:
    samples = runs.samples(run, wanted)
    how = [f"the raw file {name}" for name, sha256 in runs.raw_files(run).items() if wanted in (sha256, name)]
    how += [f"the shard {one['name']}" for one in runs.shards(run) if wanted in (one["sha256"], one["name"])]
    if not samples and not how:
        return None
    parameters, cells = run.parameters(EXPORT), {sample.cell for sample in samples}
    on_file, digest = list(runs.answers(run)), runs.digest(run)
    return Use(
        how,
        samples,
        digest,
        str(parameters.get("dataset.name", "")),
        str(parameters.get("arm", "")),
        parameters.get("seed"),
        [other.where for other in runs.like(run)],
        runs.names_in_mlflow.get(digest or "", []),
        [answer for answer in on_file if answer.key in cells],
        len(on_file),
    )
