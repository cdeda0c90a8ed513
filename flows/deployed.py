"""The flows beside the pipeline, for deployments: `sweep`, `promote`, `monitor`. Each calls what a command calls.

Parameters are plain values, and each is checked where the command checks it: none becomes part of a command line. Paths
lead to files of the project: whoever may start a run need not be one who may read this machine.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from flows import monitor as monitoring
from flows import promote as promotion
from flows.ablation import ablate
from flows.experiments import CodeChanged
from flows.outcome import outcome
from flows.sweep import SHOWN_LINES
from umemma.errors import ParameterError
from umemma.monitoring.settings import Settings
from umemma.settings import section


def data_set() -> str:
    """Return the name of a sweep's run: that of its data set."""
    return f"sweep-{flow_run.parameters.get('dataset')}"


@flow(name="sweep", flow_run_name=data_set, persist_result=False)
def sweep(
    *,
    dataset: str,
    seeds: list[int],
    arms: list[str] | None = None,
    rates: list[float] | None = None,
    settings: list[str] | None = None,
    jobs: int = 1,
    force: bool = False,
) -> State[Any]:
    """Run every arm and seed as an experiment, those that are missing, and compare all, as `make ablation`.

    rates: missing rates in training. settings: `key=value`, for every experiment. jobs: experiments at a time.
    """

    def work(home: Path) -> State[Any]:
        ablate(
            home,
            dataset=dataset,
            arms=arms or [],
            seeds=seeds,
            rates=rates or [],
            settings=settings or [],
            jobs=jobs,
            force=force,
            say=get_run_logger().info,
            run_each=_as_task,
        )
        return Completed(message="all experiments are there and compared")

    return outcome(work)


@flow(name="promote", persist_result=False)
def promote(*, experiment: str = "", retest: bool = False, accept: str = "") -> State[Any]:
    """Make the model of the workspace's run, or of an experiment, the champion if it is no worse, as `make promote`."""

    def work(home: Path) -> State[Any]:
        say = get_run_logger().info
        return _said(promotion.promote(home, experiment=experiment, retest=retest, accept=accept, say=say))

    return outcome(work)


@flow(name="monitor", persist_result=False)
def monitor(
    *,
    answers: str = "answers",
    model: str = "data/export",
    since: str = "",
    labels: str = "",
    thresholds: dict[str, float] | None = None,
) -> State[Any]:
    """Compare answers with the test of the model, as `make monitor`; fails with an alert. The verdict is an event, too."""

    def work(home: Path) -> State[Any]:
        section(Settings, **(thresholds or {}))  # or one called `answers` would be taken for the path
        for key, path in (("answers", answers), ("model", model), ("labels", labels)):
            if not Path(os.path.normpath(home / path)).is_relative_to(home):
                raise ParameterError(f"{key} {path!r}: must be a path below the project's root")
        return _said(
            monitoring.monitor(
                home, answers=answers, model=model, since=since, labels=labels, emit=True, **(thresholds or {})
            )
        )

    return outcome(work)


def _said(text: str) -> State[Any]:
    get_run_logger().info(text)
    return Completed(message=text.partition("\n")[0])


@task(name="experiment", cache_policy=NO_CACHE, persist_result=False)
def run_experiment(run: Callable[[], Sequence[str]], changed: list[CodeChanged]) -> State[Any]:
    """Run one experiment."""
    try:
        lines = run()
    except CodeChanged as error:
        changed.append(error)
        return Failed(message=str(error))
    return Failed(message="\n".join(lines[-SHOWN_LINES:])) if lines else Completed(message="kept")


def _as_task(name: str, run: Callable[[], Sequence[str]]) -> None:
    changed: list[CodeChanged] = []
    run_experiment.with_options(name=name, task_run_name=name)(run, changed, return_state=True)
    if changed:
        raise changed[0]
