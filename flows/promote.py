"""`python -m flows.promote`: the model of a run becomes the champion, if it is shown to be no worse whatever is missing.

All gates hold -> MLflow's copy of the model is registered, with what it was made from -> it is the `challenger` -> it is
compared with the champion (umemma/evaluation/promotion.py) -> it is the `champion`. Each step leaves a whole state, and is
passed over if it was done: killed at any moment, the same command completes it, and there is one champion at any time. What
is judged is read by hash from what DVC keeps; what is put in use is MLflow's copy, whose digests are compared.
"""

import argparse
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from dvc.dvcfile import LOCK_FILE

from flows.candidate import Candidate, candidate
from flows.git import git
from flows.graph import project_root
from flows.lineage import SHARDS, WORKSPACE
from flows.objects import Objects, opened
from flows.overrides import PARAMS_FILE
from flows.verdict import judged
from umemma import parameters
from umemma.errors import DataError, GateFailure, ParameterError, run
from umemma.parameters import Parameters

if TYPE_CHECKING:
    from umemma.evaluation.comparison import Model
    from umemma.tracking.registry import Registry, Version

PREVIOUS, ROLLED_BACK, ACCEPTED = "promotion.previous", "promotion.rolled_back", "promotion.accepted"
NOBODY = "none"
_MOST_CHARS = 500
Say = Callable[[str], None]


class Refused(GateFailure):
    """A model that does not become champion; the message says why, and what would make it one. Exit code 1."""


def promote(home: Path, *, experiment: str = "", retest: bool = False, accept: str = "", say: Say = print) -> str:
    """Promote the model of the workspace's run, or of an experiment, and return what happened. Raises Refused.

    `retest`: the champion answers the test samples of this run, where it was tested on others. `accept`: why the model
    becomes champion whatever the comparison says; its gates must hold all the same.
    """
    from umemma.tracking import registry

    if len(accept) > _MOST_CHARS:
        raise ParameterError(f"the reason has {len(accept)} characters; {_MOST_CHARS} are enough")
    settings = parameters.read(home / parameters.FILE)
    with opened(home) as objects, tempfile.TemporaryDirectory() as place:
        found = candidate(home, experiment, objects, Path(place) / registry.PREDICTIONS_FILE)
        _check_dataset(found, settings)
        if found.lineage.where == WORKSPACE and git(home, "status", "--porcelain", "--", LOCK_FILE, PARAMS_FILE):
            say(
                f"note: `git add {LOCK_FILE} {PARAMS_FILE} && git commit`, so that this model can be traced and made again"
            )
        with registry.opened(home, found.facts.dataset) as models:
            version, champion = models.registered(found.digest, found.predictions, found.tags), models.champion()
            name = f"{models.name} version {version.number}, model {found.digest[:12]} of {found.lineage.where},"
            if champion is not None and champion.number == version.number:
                models.take(registry.CHALLENGER, version)
                return f"{name} is the champion already"
            _check_copy(models, version, home)
            models.give(registry.CHALLENGER, version)
            rival = (
                None
                if champion is None
                else _rival(models, champion, found, objects, Path(place), home=home, retest=retest)
            )
            verdict = judged(found.predictions, rival, champion.number if champion else "", settings)
            if ROLLED_BACK in version.tags:
                verdict = verdict.refused(f"it was rolled back on {version.tags[ROLLED_BACK]}")
            reasons, page = version.tags.get(ACCEPTED, ""), verdict.markdown(accept)
            if accept:
                models.tag(version, {ACCEPTED: f"{reasons}\n{_now()}: {accept}".strip()})
            elif reasons:
                page += f"\n\nAccepted before. {reasons}"
            models.describe(version, page)
            if verdict.troubles and not accept:
                given = [f"EXP={experiment}"] * bool(experiment) + ["ARGS=--retest"] * retest
                command = " ".join(["make promote", *given, "ACCEPT='why'"])
                raise Refused(verdict.refusal(name, command))
            for line in verdict.lines():
                say(line)
            _crown(models, version, champion)
    return f"{name} is the champion: {verdict.summary(accept)}"


def rollback(home: Path, version: str = "") -> str:
    """Give `champion` back to the version that had it before, and return what happened.

    Without a number it is the present champion that goes; if it came by a rollback, nothing is done: the command may have
    been given twice.
    """
    from umemma.tracking import registry

    with registry.opened(home, parameters.read(home / parameters.FILE).dataset.name) as models:
        known = {one.number: one for one in models.versions()}
        champion = models.champion()
        if champion is None:
            raise ParameterError(f"{models.name} has no champion: `make promote` makes one")
        after = [one for one in known.values() if one.tags.get(PREVIOUS) == champion.number and ROLLED_BACK in one.tags]
        if after and version in ("", after[0].number):
            gone = after[0]
            return (
                f"{models.name} version {champion.number} is the champion again since version {gone.number} was rolled back on "
                f"{gone.tags[ROLLED_BACK]}; `--rollback {champion.number}` goes back further"
            )
        if version not in ("", champion.number):
            raise ParameterError(f"--rollback {version}: the champion of {models.name} is version {champion.number}")
        previous = known.get(champion.tags.get(PREVIOUS, NOBODY))
        if previous is None:
            raise ParameterError(
                f"{models.name} version {champion.number} had no champion before it that is still there"
            )
        models.tag(champion, {ROLLED_BACK: _now()})
        models.give(registry.CHAMPION, previous)
        return (
            f"{models.name} version {previous.number} is the champion again, and version {champion.number} is not: it is "
            "refused from now on unless it is accepted with a reason"
        )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _check_dataset(found: Candidate, settings: Parameters) -> None:
    if (ours := settings.dataset.name) != (name := found.facts.dataset):
        raise ParameterError(
            f"{found.lineage.where} is of the data set {name}, and params.yaml of {ours}: `make params DATASET={name}` first, as "
            "what matters is in its section `promotion`"
        )


def _check_copy(models: "Registry", version: "Version", home: Path) -> None:
    """Compare MLflow's copy of a model folder with what the run has exported."""
    from umemma.serving import folder

    if (digest := folder.verify(models.folder(version, home))) != version.digest:
        raise DataError(
            f"{models.name} version {version.number}: MLflow's copy is the model {digest[:12]}, which it should not be"
        )


def _rival(
    models: "Registry",
    champion: "Version",
    found: Candidate,
    objects: Objects,
    place: Path,
    *,
    home: Path,
    retest: bool,
) -> "Model | str":
    """Return the champion with its predictions on the test samples of the run, or why it has none."""
    from umemma.evaluation import comparison

    if champion.tags["fingerprint"] == found.facts.fingerprint:
        theirs = place / "champion"
        theirs.mkdir()
        try:
            return comparison.read(models.predictions(champion, theirs), "champion")[0]
        except DataError as error:
            return str(error)
    name, number = f"the champion, version {champion.number},", found.facts.num_samples["test"]
    if not retest:
        return (
            f"{name} was tested on other data (fingerprint {champion.tags['fingerprint'][:12]}, this run's is "
            f"{found.facts.fingerprint[:12]}), so nothing is paired; with `ARGS=--retest` it answers the {number:,} test samples "
            "of this run, and is compared on these"
        )
    from umemma.serving import retest as again

    try:
        shards = _linked(objects, found.tags[f"dvc.{SHARDS}"], place / "shards")
        predictions = again.predictions(models.folder(champion, home), shards, found.facts.modalities)
    except DataError as error:
        return f"{name} cannot answer the test samples of this run: {error}"
    return comparison.Model("champion", "champion", 0, None, None, {"test": predictions})


def _linked(objects: Objects, md5: str, place: Path) -> Path:
    """Return a folder of links to what DVC keeps of a folder: shards may be larger than the disk has room for."""
    files = objects.files(md5)
    objects.fetch(files.values())
    place.mkdir()
    for name, of_file in files.items():
        (place / name).symlink_to(objects.path(of_file))
    return place


def _crown(models: "Registry", version: "Version", champion: "Version | None") -> None:
    """Make a version the champion, if no other process has made another one since it was compared."""
    from umemma.tracking import registry

    now = models.champion()
    if (now and now.number) != (champion and champion.number):
        raise Refused(f"{models.name} has another champion since: give the same command again")
    models.tag(version, {PREVIOUS: champion.number if champion else NOBODY})
    models.give(registry.CHAMPION, version)
    models.take(registry.CHALLENGER, version)


def main() -> None:
    """Read the arguments, promote or roll back, and say what happened."""
    parser = argparse.ArgumentParser(
        prog="python -m flows.promote", description="Make the model of a run the champion."
    )
    parser.add_argument(
        "--experiment", default="", metavar="NAME", help="a DVC experiment, or a commit (the workspace)"
    )
    parser.add_argument(
        "--retest", action="store_true", help="a champion tested on other data answers this run's test samples"
    )
    parser.add_argument("--accept", default="", metavar="REASON", help="promote whatever the comparison says")
    parser.add_argument(
        "--rollback", nargs="?", const="", metavar="VERSION", help="the champion before is champion again"
    )
    given, home = parser.parse_args(), project_root(Path.cwd())
    if given.rollback is not None:
        print(rollback(home, given.rollback))
    else:
        print(promote(home, experiment=given.experiment, retest=given.retest, accept=given.accept))


if __name__ == "__main__":
    run(main)
