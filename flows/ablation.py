"""Every arm and seed as DVC experiments, then their comparison: `python -m flows.ablation --dataset NAME --seeds 0 1`.

Only the command line; the work is in plan.py, sweep.py and comparison.py. Only complete experiments are kept, so the
same command resumes an ablation, however it ended. What experiments have in common, such as the towers of a seed, comes
from DVC's cache. In the workspace only the report's folder is written, and tracked files must not change until the end.
"""

import argparse
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from flows import turn
from flows.comparison import PAGE, read_numbers, score, score_rows
from flows.fork_server import fork_server
from flows.graph import project_root
from flows.plan import CHOICES, named, plan
from flows.processes import Children
from flows.results import table
from flows.stop import ends_with
from flows.sweep import AblationFailed, Run, Sweep, run_here
from umemma.errors import ParameterError, run


def main() -> None:
    """Parse, run, print the table, and exit with 1 if an experiment is missing."""
    given = _parser().parse_args()
    home = project_root(Path.cwd())
    os.chdir(home)
    with ends_with("stopped; complete experiments are kept, and the same command resumes from there"):
        ablate(home, **vars(given), say=_say)
    _say("next:   make exps")


def ablate(
    home: Path,
    *,
    dataset: str,
    arms: Sequence[str],
    seeds: Sequence[int],
    rates: Sequence[float],
    settings: Sequence[str],
    jobs: int,
    force: bool,
    say: Callable[[str], None],
    run_each: Run = run_here,
) -> None:
    """Run the experiments that are missing, compare all, and say the table. Raises AblationFailed if some are missing.

    run_each: how one experiment is run, given its name and a function that returns the last lines of a failure.
    """
    if jobs < 1:
        raise ParameterError(f"--jobs {jobs}: must be 1 or more")
    planned = plan(dataset, arms or list(CHOICES), seeds, rates, settings)
    for name in ("dvc", "dvc_data"):  # DVC would warn about every output that a new worktree lacks
        logging.getLogger(name).setLevel(logging.ERROR)
    with turn.ablation(home).taken(f"an ablation of {dataset}", say), fork_server(home) as server:
        sweep = Sweep(home, planned, Children(server), force=force, say=say)
        sweep.run(jobs, run_each)
        reports = sweep.compare(named(dataset, settings))
    numbers = read_numbers(reports)
    say(
        f"\ntest {score(numbers)[1]} in percent by what is present: mean ± spread (seeds)\n{table(score_rows(numbers))}"
    )
    if sweep.missing:
        say(sweep.report_missing())
    say(f"\nreport: {(reports / PAGE.name).relative_to(home)}")
    if sweep.missing:
        raise AblationFailed(f"{len(sweep.missing)} of {len(planned)} experiments are missing")


def _say(line: str) -> None:
    print(line, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m flows.ablation", description="Compare arms over seeds.")
    add = parser.add_argument
    add("--dataset", required=True)
    add("--arms", nargs="+", default=[], metavar="ARM", help=f"of {', '.join(CHOICES)} (default: all)")
    add("--seeds", nargs="*", type=int, default=[], metavar="SEED")
    add("--rates", nargs="+", type=float, default=[], metavar="RATE", help="missing rates, for arms trained with one")
    add(
        "--set",
        nargs="+",
        action="extend",
        dest="settings",
        default=[],
        metavar="KEY=VALUE",
        help="for every experiment",
    )
    add("--jobs", type=int, default=1, help="experiments at a time (results shared by two may be computed twice)")
    add("--force", action="store_true", help="run every stage of every experiment anew")
    return parser


if __name__ == "__main__":
    run(main)
