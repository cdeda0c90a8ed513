"""A run's model, or all that it made, out of DVC's cache or remote into a folder of its own, compared with its digests."""

from pathlib import Path

from flows.lineage import EXPORT, SHARDS, Lineage
from flows.runs import Runs
from umemma.data import shards
from umemma.errors import UmemmaError
from umemma.files import written_whole
from umemma.serving import folder


def restore_model(runs: Runs, run: Lineage, place: Path) -> str:
    """Write the model folder; return the digest, which is that of the run's model."""
    _check_empty(place)
    export = run.artifact(EXPORT)
    assert export is not None
    with written_whole(place) as temporary:
        runs.objects.copy(export.md5, temporary)
        return _verified(runs, run, temporary)


def restore_all(runs: Runs, run: Lineage, place: Path) -> str:
    """Write every output of the run, by its path; return the model's digest."""
    _check_empty(place)
    with written_whole(place) as temporary:
        temporary.mkdir()
        for stage in run.stages:
            for out in stage.outs:
                runs.objects.copy(out.md5, temporary / out.path)
        if run.artifact(SHARDS):
            shards.verify(temporary / SHARDS)
        return _verified(runs, run, temporary / EXPORT)


def _verified(runs: Runs, run: Lineage, path: Path) -> str:
    digest = folder.verify(path)
    if digest != runs.digest(run):
        raise UmemmaError(f"the model in DVC's store has digest {digest}, {run.where} has {runs.digest(run)}")
    return digest


def _check_empty(place: Path) -> None:
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise UmemmaError(f"{place} is there already: name a folder that is new or empty")
