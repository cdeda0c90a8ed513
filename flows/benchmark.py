"""Our model against two baselines on several data sets: `python -m flows.benchmark --datasets digits grid`.

Every run is the whole pipeline with the defaults of conf/, in a worktree of its own, so that params.yaml, dvc.lock and
the report in the workspace stay. Results come from DVC's cache where nothing they depend on has changed: the same
command resumes a benchmark, however it ended, and repeats only what a change of code concerns. A data set that cannot
be run is named with the reason; the others go on. The table of docs/benchmark.md gets the new rows; those of data sets
that were not run stay.
"""

import argparse
import logging
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

from ruamel.yaml import YAML

from flows.benchmark_table import lines_of, replaced, shown, summary, written
from flows.comparison import PAGE
from flows.experiments import maker
from flows.fork_server import fork_server
from flows.git import git
from flows.graph import project_root
from flows.overrides import check_overrides
from flows.plan import legal
from flows.processes import Children
from flows.stop import ends_with
from flows.sweep import SHOWN_LINES
from flows.workspace import experiment
from umemma.errors import ParameterError, UmemmaError, run
from umemma.evaluation.benchmark import BASELINES, OURS, SPECIALIST, Row, Run, check_is_whole, rows
from umemma.evaluation.comparison import read

DATASETS = ("digits", "avmnist", "grid", "mmimdb_lite", "occupancy", "physionet2012", "multiple_features", "driving")
DOCUMENT = Path("docs/benchmark.md")
PREDICTIONS = {
    OURS: Path("data/predictions/model.safetensors"),
    **{name: Path(f"data/baselines/{name}.safetensors") for name in BASELINES},
    SPECIALIST: Path("data/reference/specialists.safetensors"),
}


class RunFailed(UmemmaError):
    """A run ended without a report; the message holds the last line that it printed."""

    exit_code = 1


class Benchmark:
    """Runs of data sets, each in a worktree; `failed` is {data set: reason}."""

    def __init__(self, home: Path, settings: Sequence[str], children: Children) -> None:
        self._home, self._settings, self._target = home, tuple(settings), maker(home, PAGE)
        self._children = children
        self.failed: dict[str, str] = {}

    def rows(self, dataset: str, variants: Sequence[Sequence[str]]) -> list[Row]:
        """Run every variant (its overrides) of a data set; return its rows, none if a run failed."""
        with tempfile.TemporaryDirectory() as folder:
            try:
                return rows([self._run(dataset, variant, Path(folder)) for variant in variants])
            except UmemmaError as error:
                lines = [line.strip() for line in str(error).splitlines()]
                self.failed[dataset] = next((line for line in lines if line.startswith("ERROR")), lines[-1])
                print(f"{dataset}: {error}", flush=True)
                return []

    def _run(self, dataset: str, variant: Sequence[str], folder: Path) -> Run:
        start, name = time.monotonic(), " ".join([dataset, *variant])
        overrides = [f"dataset={dataset}", *variant, *self._settings]
        with experiment(self._home, overrides, legal(f"benchmark-{name}"), lambda line: None) as here:
            done = self._children.dvc(
                ["--wait-for-lock", "repro", self._target],
                cwd=here.root,
                environment=here.environment(),
                on_line=lambda line: _tell(name, line),
            )
            if done.returncode:
                said = "\n    ".join(done.tail[-SHOWN_LINES:]) or "DVC failed without output"
                raise RunFailed(f"{name} failed after {time.monotonic() - start:.0f} s:\n    {said}")
            kept = {key: folder / f"{len(list(folder.iterdir()))}-{key}.safetensors" for key in PREDICTIONS}
            for key, path in PREDICTIONS.items():
                shutil.copyfile(here.root / path, kept[key])
        print(f"{name}: {time.monotonic() - start:.0f} s", flush=True)
        return {key: read(path, key)[0] for key, path in kept.items()}


def main() -> None:
    """Parse, run, print the table, write it, and exit with 1 if a data set is missing."""
    given = _parser().parse_args()
    home = project_root(Path.cwd())
    os.chdir(home)
    with ends_with("stopped; what ran is in DVC's cache, and the same command goes on from there"):
        _compare(home, given)


def _compare(home: Path, given: argparse.Namespace) -> None:
    for name in ("dvc", "dvc_data"):  # DVC would warn about every output that a new worktree lacks
        logging.getLogger(name).setLevel(logging.ERROR)
    variants = [(f"seed={seed}", *one) for seed in given.seeds for one in _over(given.over)]
    with tempfile.TemporaryDirectory() as scratch:  # fail before the first run
        for dataset in given.datasets:
            file = Path(scratch) / "params.yaml"
            for variant in _over(given.over):
                check_overrides(home, [f"dataset={dataset}", *variant, *given.settings], file)
                check_is_whole(YAML(typ="safe").load(file.read_text("utf-8")))
    results: dict[str, list[Row]] = {}
    with fork_server(home) as server:
        benchmark = Benchmark(home, given.settings, Children(server))
        for dataset in given.datasets:
            if found := benchmark.rows(dataset, variants):
                results[dataset] = found
                print(shown(dataset, found), flush=True)
    if results:
        print(summary(lines_of(results)))
        commit = git(home, "describe", "--always", "--dirty", "--exclude=*")
        runs = f"{'; '.join(' '.join(variant) for variant in variants)}; at {commit}, {date.today():%Y-%m-%d}"
        _write(home / (given.output or DOCUMENT), results, runs, benchmark.failed)
    if benchmark.failed:
        raise RunFailed(f"{', '.join(benchmark.failed)}: not in the table")


def _write(path: Path, results: Mapping[str, Sequence[Row]], runs: str, failed: Mapping[str, str]) -> None:
    page = path.read_text("utf-8") if path.exists() else ""
    path.write_text(replaced(page, written(results, runs, failed, page)), "utf-8")
    print(f"written: {path}")


def _over(given: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the override for each value of `KEY VALUE ...`."""
    if len(given) == 1:
        raise ParameterError(f"--over {given[0]}: give values, as in --over dataset.options.split 1 2 3")
    return [(f"{given[0]}={value}",) for value in given[1:]] or [()]


def _tell(name: str, line: str) -> None:
    if sys.stdout.isatty() and (stage := re.match(r"Running stage '(.+)'", line)):
        print(f"\r\x1b[K{name} ... {stage[1]}", end="", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m flows.benchmark", description="Compare with the baselines.")
    add = parser.add_argument
    add("--datasets", nargs="+", default=list(DATASETS), metavar="NAME", help="default: %(default)s")
    add("--seeds", nargs="+", type=int, default=[0], metavar="SEED")
    add("--over", nargs="+", default=[], metavar="KEY VALUE", help="a run for each value, as of an official split")
    add("--set", nargs="+", dest="settings", default=[], metavar="KEY=VALUE", help="for every run")
    add("--output", type=Path, help=f"the page whose table is replaced (default: {DOCUMENT})")
    return parser


if __name__ == "__main__":
    run(main)
