"""The flows beside the pipeline, for deployments: `sweep`. Each calls what a command of the terminal calls.

Parameters are plain values, and each is checked where the command checks it: none becomes part of a command line.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from flows.ablation import ablate
from flows.experiments import CodeChanged
from flows.outcome import outcome
from flows.sweep import SHOWN_LINES


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
