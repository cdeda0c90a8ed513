"""Every arm and seed as DVC experiments, then their comparison: `python -m flows.ablation --dataset NAME --seeds 0 1`.

Only the command line; the work is in plan.py, sweep.py and comparison.py. Only complete experiments are kept, so the
same command resumes an ablation, however it ended. What experiments have in common, such as the towers of a seed, comes
from DVC's cache. In the workspace only the report's folder is written, and tracked files must not change until the end.
"""

import argparse
import fcntl
import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from flows.comparison import PAGE, read_numbers, score, score_rows
from flows.graph import project_root
from flows.plan import CHOICES, named, plan
from flows.processes import Children
from flows.results import table
from flows.sweep import AblationFailed, Sweep
from umemma.errors import ParameterError, UmemmaError, run

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(BaseException):
    """Ctrl-C or SIGTERM."""

    def __init__(self, number: int) -> None:
        self.number = number


def main() -> None:
    """Parse, run, print the table, and exit with 1 if an experiment is missing."""
    given = _parser().parse_args()
    home = project_root(Path.cwd())
    os.chdir(home)
    if given.jobs < 1:
        raise ParameterError(f"--jobs {given.jobs}: must be 1 or more")
    planned = plan(given.dataset, given.arms or list(CHOICES), given.seeds, given.rates, given.settings)
    for name in ("dvc", "dvc_data"):  # DVC would warn about every output that a new worktree lacks
        logging.getLogger(name).setLevel(logging.ERROR)
    for number in SIGNALS:
        signal.signal(number, _stop)
    try:
        with _alone(home):
            sweep = Sweep(home, planned, Children(), force=given.force)
            sweep.run(given.jobs)
            reports = sweep.compare(named(given.dataset, given.settings))
    except Stopped as stopped:
        print("\nstopped; complete experiments are kept, and the same command resumes from there", file=sys.stderr)
        sys.exit(128 + stopped.number)
    numbers = read_numbers(reports)
    print(f"\ntest {score(numbers)[1]} in percent by what is present: mean ± spread (seeds)")
    print(table(score_rows(numbers)))
    if sweep.missing:
        print(sweep.report_missing())
    print(f"\nreport: {(reports / PAGE.name).relative_to(home)}")
    print("next:   make exps", flush=True)
    if sweep.missing:
        raise AblationFailed(f"{len(sweep.missing)} of {len(planned)} experiments are missing")


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Exclude a second ablation; the kernel releases the lock when the process ends."""
    path = home / ".dvc" / "tmp" / "ablation.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UmemmaError("another ablation is at work in this project; wait for it or end it") from error
        yield


def _stop(number: int, _frame: FrameType | None) -> None:
    for each in SIGNALS:  # a second signal ends this process at once; the next ablation then cleans up
        signal.signal(each, signal.SIG_DFL)
    raise Stopped(number)


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
