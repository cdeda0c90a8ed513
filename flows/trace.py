"""`python -m flows.trace WHAT`, `make trace ID=...`: where an answer or a model comes from, and what was made from data.

Back from an answer's id, a model folder, a model's digest, a run or model of MLflow (`name/version`, `name@alias`), an
experiment of DVC or a git revision. Forward from a raw file or its sha256, a shard, a sample's key.
"""

import argparse
import dataclasses
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from flows import trace_text
from flows.descent import Descent, descent
from flows.graph import project_root
from flows.lineage import Lineage, gather
from flows.objects import opened
from flows.origin import Origin, of_run, origin, with_mlflow
from flows.restore import restore_all, restore_model
from flows.runs import Runs
from flows.served import served
from umemma.errors import ParameterError, UmemmaError, run, some
from umemma.files import sha256
from umemma.redaction import redacted
from umemma.serving import folder
from umemma.serving.identity import ID
from umemma.tracking.address import address, is_reference
from umemma.tracking.check import TrackingError

_DIGEST = re.compile(r"[0-9a-f]{12,64}")
_REVISION = re.compile(r"[\w.+-][\w./+~^-]*")


def trace(runs: Runs, asked: str) -> Origin | Descent:
    """Return what is known of it, looked for in the order of the module's first line. Raises UmemmaError if nothing is."""
    path = Path(asked)
    if path.is_dir():
        digest = folder.verify(path)
        found: Origin | Descent | None = origin(runs, asked, digest)
        facts = folder.read(path / folder.FACTS, folder.Facts).model_dump(mode="json")
        return found or Origin(asked, digest, facts, notes=[_nowhere(runs, f"model {digest[:12]}")])
    if path.is_file():
        digest = sha256(path)
        found = descent(runs, asked, digest)
    elif answer := ID.fullmatch(asked):
        found = origin(runs, asked, answer[1], asked)
    else:
        found = _of_digest(runs, asked) or _of_mlflow(runs, asked) or _of_revision(runs, asked)
        found = found or descent(runs, asked, asked)
    if found is None:
        raise UmemmaError(_nowhere(runs, repr(asked)))
    return found


def run_of(runs: Runs, found: Origin | Descent) -> Lineage:
    """Return the run to restore. Raises ParameterError where there is none, or more than one."""
    if isinstance(found, Descent):
        raise ParameterError("--restore: name an answer, a model or a run; its model is restored")
    there = runs.with_model(found.model)
    if there is None:
        raise UmemmaError(f"--restore: {_nowhere(runs, f'model {found.model[:12]}')}")
    return there


def _of_digest(runs: Runs, asked: str) -> Origin | None:
    return origin(runs, asked, asked) if _DIGEST.fullmatch(asked) else None


def _of_mlflow(runs: Runs, asked: str) -> Origin | None:
    if not is_reference(asked):
        return None
    from umemma.tracking import find  # imports MLflow, 2 s

    try:
        digest = find.digest_of(runs.home, asked)
    except TrackingError as error:
        runs.unread["MLflow"] = str(error)
        return None
    return origin(runs, asked, digest) if digest else None


def _of_revision(runs: Runs, asked: str) -> Origin | None:
    if not _REVISION.fullmatch(asked):
        return None
    try:
        there = gather(runs.home, asked)
    except UmemmaError:  # no experiment or commit, or one without a run
        return None
    found = of_run(runs, asked, there)
    return found and with_mlflow(runs, found)


def _with_log(found: Origin | Descent, log: Path) -> Origin:
    if isinstance(found, Descent) or not ID.fullmatch(found.asked):
        raise ParameterError("--log says when an answer was given: name one by its id")
    return dataclasses.replace(found, served=served(log, found.asked))


def _nowhere(runs: Runs, what: str) -> str:
    """Return the sentence on what was looked through in vain."""
    kinds = [run.where.split()[0] for run in runs.all]
    places = f"{kinds.count('experiment')} experiments of DVC, {kinds.count('commit')} commits of dvc.lock"
    store = redacted(address(runs.home))
    sentence = f"{what} is nowhere in the workspace's dvc.lock, {places} and MLflow ({store})"
    if runs.unread:
        where = some(f"{place} ({why})" for place, why in runs.unread.items())
        sentence += f"; not looked into, as it could not be read: {where}"
    return f"{sentence}. An experiment comes to a clone by `dvc exp pull`, a commit by `git fetch`"


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m flows.trace", description=__doc__)
    parser.add_argument("what", help="an answer's id, a model folder or digest, a run; a raw file, a shard, a sample")
    parser.add_argument("--log", type=Path, metavar="DIR", help="of a server: when the answer was given")
    parser.add_argument("--json", action="store_true", help="print all of it as JSON")
    parser.add_argument(
        "--restore", type=Path, metavar="DIR", help="write the model folder, from DVC's cache or remote"
    )
    parser.add_argument("--all", action="store_true", help="with --restore: every output of the run, by its path")
    parser.add_argument("--remote", help="name of DVC's remote (the default one)")
    given = parser.parse_args(arguments)
    if given.all and given.restore is None:
        raise ParameterError("--all belongs to --restore DIR")
    if not given.what:
        raise ParameterError(
            "name what to trace: `make trace ID=...`, an answer's id, a model, a run, a file, a sample"
        )
    return given


def main() -> None:
    """Print what is found; restore it if asked."""
    given = _arguments(sys.argv[1:])
    home = project_root(Path.cwd())
    with opened(home, given.remote) as objects:
        runs = Runs(home, objects)
        found = trace(runs, given.what)
        if given.log is not None:
            found = _with_log(found, given.log)
        if given.json:
            print(json.dumps(dataclasses.asdict(found), indent=2, ensure_ascii=False))
        else:
            print("\n".join(trace_text.lines(found)))
        if given.restore is not None:
            restore = restore_all if given.all else restore_model
            digest = restore(runs, run_of(runs, found), given.restore)
            print(
                f"restored  {given.restore}: sha256 {digest}, the same", file=sys.stderr if given.json else sys.stdout
            )


if __name__ == "__main__":
    run(main)
