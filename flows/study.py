"""A study: experiments that answer one question, and a page with the answer: `python -m flows.study NAME`.

Only complete experiments are kept, so the same command resumes a study, however it ended; what experiments have in
common comes from DVC's cache. They run up to the stage that writes predictions: all that a study says follows from
these. The workspace's data and parameters stay; docs/studies/NAME.md is written at the end.
"""

import argparse
import logging
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path

from ruamel.yaml import YAML

from flows import turn
from flows.comparison import PREDICTIONS
from flows.dvc_records import LOCK_FILE
from flows.experiments import STUDY_PAGES
from flows.fork_server import fork_server
from flows.git import git
from flows.graph import project_root
from flows.overrides import PARAMS_FILE
from flows.plan import Planned
from flows.processes import Children
from flows.stage_seconds import num_bytes
from flows.stop import ends_with
from flows.study_page import Price, Written, page
from flows.study_plan import Study, Trial, narrowed, read, trials
from flows.sweep import AblationFailed, Sweep
from umemma.errors import ParameterError, run
from umemma.evaluation import comparison, study
from umemma.evaluation.comparison import Model
from umemma.evaluation.overall import overall
from umemma.missingness import Pattern

MODEL, TOWERS = "data/model", "data/towers/{dataset}"


def main() -> None:
    """Parse, run, write the page, and exit with 1 if an experiment is missing."""
    given = _parser().parse_args()
    home = project_root(Path.cwd())
    os.chdir(home)
    with ends_with("stopped; complete experiments are kept, and the same command resumes from there"):
        answer(home, **vars(given), say=_say)


def answer(
    home: Path,
    *,
    name: str,
    datasets: Sequence[str],
    seeds: Sequence[int],
    jobs: int,
    force: bool,
    as_it_is: bool,
    say: Callable[[str], None],
) -> None:
    """Run the experiments that are missing, write the study's page. Raises AblationFailed if some are missing.

    as_it_is: run none, the page is of those that exist.
    """
    if jobs < 1:
        raise ParameterError(f"--jobs {jobs}: must be 1 or more")
    whole = read(home, name)
    chosen = narrowed(whole, datasets, seeds)
    tried = trials(name, chosen)
    for library in ("dvc", "dvc_data"):  # DVC would warn about every output that a new worktree lacks
        logging.getLogger(library).setLevel(logging.ERROR)
    with (
        turn.ablation(home).taken(f"study {name}", say),
        fork_server(home) as server,
        tempfile.TemporaryDirectory() as folder,
    ):
        planned = [trial.planned for trial in tried]
        sweep = Sweep(home, planned, Children(server), output=PREDICTIONS.parent, force=force, say=say)
        if as_it_is:
            revisions = {planned.name: sweep.experiments.revision(planned.name) for planned in sweep.planned}
            sweep.missing = {name: "not run" for name, revision in revisions.items() if revision is None}
        else:
            sweep.run(jobs)
        present = {planned.name for planned in sweep.collect(Path(folder))}
        done = [trial for trial in tried if trial.planned.name in present]
        conditions = dict(_conditions(sweep, chosen, done, Path(folder)))
        data_sets = {trial.condition: chosen.cases[trial.case].dataset for trial in done}
        written = Written(
            name=name,
            whole=whole,
            chosen=chosen,
            conditions=study.corrected(conditions),
            overall=overall(conditions, data_sets),
            prices=_prices(sweep, chosen, done),
            cpu_seconds=_cpu_seconds(sweep, done),
            missing=sweep.missing,
            commit=git(home, "rev-parse", "--short=7", "HEAD"),
            num_experiments=len(done),
            seeds=sorted({trial.seed for trial in done}),
        )
    path = home / STUDY_PAGES / f"{name}.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(written), "utf-8")
    say(f"\npage: {path.relative_to(home)}")
    if sweep.missing:
        say(sweep.report_missing())
        raise AblationFailed(f"{len(sweep.missing)} of {len(tried)} experiments are missing")


def _conditions(
    sweep: Sweep, chosen: Study, done: Sequence[Trial], folder: Path
) -> Iterator[tuple[str, study.Condition]]:
    """Yield the comparisons of each condition whose reference is there, with one condition's predictions in memory."""
    for title in dict.fromkeys(trial.condition for trial in done):
        variants: dict[str, dict[int, Model]] = {}
        own = [trial for trial in done if trial.condition == title]
        for trial in own:
            model, _ = comparison.read(folder / f"{trial.planned.name}{PREDICTIONS.suffix}", trial.variant)
            variants.setdefault(trial.variant, {})[trial.seed] = model
        possible = _possible(_committed(sweep, own[0].planned, PARAMS_FILE))
        yield title, study.condition(variants, chosen.baseline, rates=chosen.rates, possible=possible)


def _prices(sweep: Sweep, chosen: Study, done: Sequence[Trial]) -> dict[tuple[str, str], Price]:
    """Return what each variant cost under each condition, by (condition, variant), of its first seed."""
    prices: dict[tuple[str, str], Price] = {}
    for trial in done:
        if (trial.condition, trial.variant) not in prices:
            lock = _committed(sweep, trial.planned, LOCK_FILE)
            towers = TOWERS.format(dataset=chosen.cases[trial.case].dataset)
            prices[trial.condition, trial.variant] = Price(
                num_bytes(lock, MODEL),
                _sum(sweep.seconds.took(lock, (towers,)).values()),
                _sum(sweep.seconds.took(lock, (MODEL,)).values()),
            )
    return prices


def _cpu_seconds(sweep: Sweep, done: Sequence[Trial]) -> float:
    """Return what the stages of all experiments took, each counted once however many share it, as far as measured."""
    took: dict[str, float | None] = {}
    for trial in done:
        took |= sweep.seconds.took(_committed(sweep, trial.planned, LOCK_FILE))
    return sum(seconds for seconds in took.values() if seconds is not None)


def _sum(seconds: Iterable[float | None]) -> float | None:
    given = list(seconds)
    known = [each for each in given if each is not None]
    return sum(known) if given and len(known) == len(given) else None


def _committed(sweep: Sweep, planned: Planned, file: str) -> str:
    revision = sweep.experiments.revision(planned.name)
    return git(sweep.experiments.home, "show", f"{revision}:./{file}")


def _possible(parameters: str) -> Mapping[Pattern, float] | None:
    """Return the largest accuracy that is possible by pattern, if the data set's adapter knows it."""
    dataset = YAML(typ="safe").load(parameters)["dataset"]
    known = getattr(import_module(f"umemma.sources.adapters.{dataset['adapter']}"), "bayes_accuracy", None)
    accuracy: Mapping[Pattern, float] | None = known(dataset["options"]) if known else None
    return accuracy


def _say(line: str) -> None:
    print(line, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m flows.study", description="Answer one question by experiments.")
    add = parser.add_argument
    add("name", metavar="NAME", help="of a file in conf/study/")
    add("--datasets", nargs="+", default=[], metavar="NAME", help="some of the study's data sets or cases")
    add("--seeds", nargs="+", type=int, default=[], metavar="SEED", help="in place of the study's")
    add("--jobs", type=int, default=1, help="experiments at a time; only one at a time has its CPU seconds measured")
    add("--as-it-is", action="store_true", help="run nothing: write the page of the experiments that exist")
    add("--force", action="store_true", help="run every stage of every experiment anew")
    return parser


if __name__ == "__main__":
    run(main)
