"""Back from a model, or one of its answers, to what it was made from."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from flows.lineage import EXPORT, SHARDS, WORKSPACE, Lineage, Stage
from flows.objects import NotStored
from flows.runs import Answer, Runs, Sample
from flows.served import Served

Content = TypeVar("Content")
_ONLY_HERE = (
    "the next run will take the place of this one in dvc.lock; `git add dvc.lock params.yaml` and a commit keep it"
)


@dataclass(frozen=True)
class Origin:
    """What is known of a model, and of the answer that was asked for.

    `model` is its digest, `facts` are of model.json. `found_in`: the places of git that have the run. `code` is the oldest
    commit of these; of a run that only the workspace has it is HEAD, and `is_dirty` says that tracked files differ from
    it. `raw_files` None: they could not be told. `stages` are all from the raw data to the model, `outdated` says what was
    made anew since. `notes`: what could not be told, and why.
    """

    asked: str
    model: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    answer: Answer | None = None
    sample: Sample | None = None
    served: Sequence[Served] = ()
    found_in: Sequence[str] = ()
    code: str | None = None
    is_dirty: bool = False
    mlflow: Sequence[Any] = ()
    raw_files: Mapping[str, str] | None = None
    shards: Sequence[Mapping[str, Any]] = ()
    stages: Sequence[Stage] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    outdated: Sequence[str] = ()
    notes: Sequence[str] = ()


def origin(runs: Runs, asked: str, model: str, answer: str | None = None) -> Origin | None:
    """Return the origin of the model whose digest begins with `model`; None if neither git nor MLflow knows it.

    `answer` is the id of one of its answers.
    """
    run = runs.with_model(model)
    logged, notes = runs.in_mlflow(model)
    if run is None:
        notes = [*notes, "no dvc.lock names this model, neither in git nor in MLflow"]
        return Origin(asked, logged[0].digest, mlflow=logged, notes=notes) if logged else None
    found = of_run(runs, asked, run)
    assert found is not None, "a run whose model's digest was read has a model"
    return _with_answer(runs, run, replace(found, mlflow=logged, notes=[*found.notes, *notes]), answer)


def of_run(runs: Runs, asked: str, run: Lineage) -> Origin | None:
    """Return the origin of a run's model, without what MLflow has; None if it has no model that is stored."""
    digest = runs.digest(run)
    if digest is None:
        return None
    same = runs.like(run) or [run]
    first = next((other for other in reversed(same) if other.where != WORKSPACE), run)
    notes: list[str] = [_ONLY_HERE] if first.where == WORKSPACE else []
    return Origin(
        asked,
        digest,
        runs.facts(run),
        found_in=[other.where for other in same],
        code=first.commit,
        is_dirty=first.is_dirty,
        raw_files=_told(notes, "raw files", lambda: runs.raw_files(run), None),
        shards=_told(notes, SHARDS, lambda: runs.shards(run), []),
        stages=run.upstream(EXPORT),
        parameters=run.parameters(EXPORT),
        outdated=run.outdated(EXPORT),
        notes=notes,
    )


def with_mlflow(runs: Runs, found: Origin) -> Origin:
    """Add what MLflow has."""
    logged, notes = runs.in_mlflow(found.model)
    return replace(found, mlflow=logged, notes=[*found.notes, *notes])


def _with_answer(runs: Runs, run: Lineage, found: Origin, wanted: str | None) -> Origin:
    if wanted is None:
        return found
    notes = list(found.notes)
    on_file: list[Answer] = _told(
        notes, "answers on file", lambda: [one for one in runs.answers(run) if one.id == wanted], []
    )
    if not on_file:
        sentence = "the answer is to none of the test samples: to a new row, of which neither shards nor raw files tell"
        return replace(found, notes=[*notes, sentence])
    samples: list[Sample] = _told(notes, "the manifest", lambda: runs.samples(run, on_file[0].key), [])
    return replace(found, answer=on_file[0], sample=next(iter(samples), None), notes=notes)


def _told(notes: list[str], what: str, read: Callable[[], Content], otherwise: Content) -> Content:
    try:
        return read()
    except NotStored as error:
        notes.append(f"{what}: {error}")
        return otherwise
