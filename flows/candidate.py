"""The run whose model may be promoted, in the workspace or an experiment: read by hash from what DVC keeps."""

from dataclasses import dataclass
from pathlib import Path

from flows.lineage import EXPORT, GATES, MASKS, MODEL, SHARDS, VALIDATION, Artifact, Lineage, gather
from flows.objects import Objects
from umemma.errors import GateFailure
from umemma.files import sha256
from umemma.reporting import results
from umemma.reporting.results import Gates
from umemma.serving import folder
from umemma.serving.folder import FACTS, SUMS, Facts

ANSWERS, JUDGED = "data/predictions", "data/reports/gates.json"
MADE_FROM = (MODEL, EXPORT, SHARDS, MASKS, VALIDATION, GATES)  # whose hashes a version has as tags
_OF_MODEL = "model.safetensors"  # among the answers


@dataclass(frozen=True)
class Candidate:
    """A run that came through all its gates.

    `digest` is the name of its model folder, `predictions` a file; `tags` say what it was made from.
    """

    lineage: Lineage
    facts: Facts
    digest: str
    predictions: Path
    tags: dict[str, str]


def candidate(home: Path, experiment: str, objects: Objects, place: Path) -> Candidate:
    """Read a run; an empty name is the workspace's. Raises GateFailure if a gate failed, or the run did not reach them.

    Its predictions are copied to the file `place`.
    """
    lineage = gather(home, experiment or None)
    gates = _gates(lineage, objects)
    exported, answers = (objects.files(_written(lineage, path).md5) for path in (EXPORT, ANSWERS))
    objects.copy(answers[_OF_MODEL], place)
    facts = folder.read(objects.path(exported[FACTS]), Facts)
    return Candidate(
        lineage,
        facts,
        sha256(objects.path(exported[SUMS])),
        place,
        {
            "git.commit": lineage.commit + ("-dirty" if lineage.is_dirty else ""),
            "gates": gates,
            "fingerprint": facts.fingerprint,
            "shards.sha256": facts.manifest_sha256,
            **{f"dvc.{path}": _written(lineage, path).md5 for path in MADE_FROM},
        },
    )


def _gates(lineage: Lineage, objects: Objects) -> str:
    """Return the names of the gates that held."""
    judged = results.read(objects.path(_written(lineage, JUDGED).md5), Gates)
    if not judged.passed:
        failures = [f"{one.gate}: {failure}" for one in judged.gates for failure in one.failures]
        raise GateFailure("\n  ".join([f"a gate failed in {lineage.where}, so its model is not promoted:", *failures]))
    passed = _written(lineage, GATES)
    if stale := lineage.outdated(GATES):
        raise GateFailure(f"the run in {lineage.where} has not come to its end: {stale[0]}. Run it again, then promote")
    return ", ".join(objects.read_json(passed.md5)["gates"])


def _written(lineage: Lineage, path: str) -> Artifact:
    found = lineage.artifact(path)
    if found is None:
        raise GateFailure(
            f"the run in {lineage.where} has not come to its end: it has no {path}. Run it again, then promote"
        )
    return found
