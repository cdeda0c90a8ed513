"""Run the pipeline: `python -m flows.pipeline [-S key=value ...] [--name NAME] [--force] [STAGE ...]`.

Only the command line; the flow is in flow.py. Prefect reads its settings when it is imported, so they are set first:
the project's running server if there is one (`python -m flows.server up`), else a temporary server on the same
database, so that the run can be viewed later.
"""

import argparse
import os
import tempfile
from pathlib import Path

from flows.graph import project_root
from flows.settings import prefect_environment, server_url
from flows.stop import ends_with
from flows.temporary_server import TemporaryServer
from umemma.errors import UmemmaError, run


class RunFailed(UmemmaError):
    """The flow ended in a state other than Completed."""

    exit_code = 1


def main() -> None:
    """Parse, run, and exit with 1 if a stage failed."""
    given = _parser().parse_args()
    with ends_with("stopped; finished stages are kept, and the same command goes on from there"):
        _run(given)


def _run(given: argparse.Namespace) -> None:
    root = project_root(Path.cwd())
    os.chdir(root)
    if given.overrides:  # fail before a server is started
        from flows.overrides import check_overrides

        with tempfile.TemporaryDirectory() as scratch:
            check_overrides(root, given.overrides, Path(scratch) / "params.yaml")
    is_foreign = "PREFECT_API_URL" in os.environ
    url = server_url(root)
    temporary = None if url else TemporaryServer(root)
    os.environ.update(prefect_environment(root, temporary.url if temporary else str(url)))
    from flows import records  # a second of imports, while the server starts
    from flows.flow import ume_mma

    if temporary:
        temporary.wait()
    if not is_foreign:
        records.mark_dead(root)
    state = ume_mma(given.overrides, given.targets, given.name, given.force, return_state=True)
    if not state.is_completed():
        raise RunFailed(state.message or f"the run ended as {state.name}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m flows.pipeline", description="Bring the pipeline up to date.")
    parser.add_argument("targets", nargs="*", metavar="STAGE", help="stop at these stages (default: all)")
    parser.add_argument(
        *("-S", "--set-param"),
        dest="overrides",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="as in `dvc exp run -S`; the run becomes an experiment and leaves the workspace alone",
    )
    parser.add_argument("--name", help="name of the experiment; without -S it makes the run an experiment, too")
    parser.add_argument("--force", action="store_true", help="run every stage, changed or not")
    return parser


if __name__ == "__main__":
    run(main)
