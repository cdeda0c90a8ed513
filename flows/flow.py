"""The Prefect flow `ume-mma`: one task per stage of dvc.yaml, each running DVC for that stage alone.

DVC is the only cache. A task with nothing to do ends in the state `Cached`. A task returns whether it wrote anything,
and DVC checks a stage that was fresh at the start again only if an upstream stage wrote. A stage that DVC restores from
its run-cache is `Cached` and has written, so its downstream stages are checked.

Tasks have no tags (each costs a call to the server); the GPU is a global concurrency limit of the server instead.
"""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
from prefect import flow, get_run_logger, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.concurrency.sync import concurrency
from prefect.futures import PrefectFuture, wait
from prefect.runtime import flow_run
from prefect.settings import PREFECT_API_URL
from prefect.states import Completed, Failed
from prefect.task_runners import ThreadPoolTaskRunner

from flows.experiments import Experiments
from flows.git import git
from flows.graph import Graph, Stage, project_root, read_graph
from flows.processes import Children
from flows.results import RESULTS, read_rows, table
from flows.settings import GPU_LIMIT, state_folder
from flows.workspace import Workspace, experiment, own_workspace
from umemma.errors import UmemmaError


class StageFailed(UmemmaError):
    """A stage ended with an error; the message holds its last lines."""

    exit_code = 1


PREFIX = f"Task run encountered an exception {StageFailed.__name__}: "  # Prefect's
LEASE_SECONDS = 60  # how long a killed run may still block the GPU
# Hints for interactive use, which DVC prints after every stage.
HINTS = (
    "To track the changes with git",
    "\tgit add",
    "To enable auto staging",
    "\tdvc config core.autostage",
    "Use `dvc push`",
)


THREADS: Any = ThreadPoolTaskRunner(max_workers=32)  # they only wait; DVC does the work


@flow(name="ume-mma", task_runner=THREADS, persist_result=False)
def ume_mma(
    overrides: Sequence[str] = (), targets: Sequence[str] = (), name: str | None = None, force: bool = False
) -> State[Any]:
    """Bring the pipeline up to date.

    overrides: `key=value` as in `dvc exp run -S`; the run is then an experiment in a worktree, not in the workspace.
    targets: stages to stop at; all if empty. name: of the experiment; a name alone makes the run an experiment, too.
    force: run every stage, changed or not.
    """
    home = project_root(Path.cwd())
    logger = get_run_logger()
    children = Children()
    try:
        with ExitStack() as stack:
            stack.enter_context(_noted(home))
            stack.callback(children.end)
            if not (overrides or name):
                return _run_stages(own_workspace(home), targets, children, force)
            experiment_name = name or str(flow_run.name)
            here = stack.enter_context(experiment(home, overrides, experiment_name, logger.warning))
            stack.callback(children.end)
            outcome = _run_stages(here, targets, children, force)
            if outcome.is_completed():
                Experiments(home, git(here.root, "rev-parse", "HEAD")).keep(here, experiment_name)
                logger.info(
                    "Kept as the experiment %s; `dvc exp apply %s` brings it here", experiment_name, experiment_name
                )
            return outcome
    except UmemmaError as error:
        logger.error(str(error))
        return Failed(message=str(error))


@task(name="stage", cache_policy=NO_CACHE, persist_result=False, retry_delay_seconds=1)
def run_stage(stage: Stage, stale: bool, upstream_wrote: Sequence[bool], run: "Run") -> Any:
    """Run one stage if it may be stale; return whether it wrote."""
    if not (stale or any(upstream_wrote) or run.force):
        return Completed(name="Cached", message="nothing has changed", data=False)
    logger = get_run_logger()
    arguments = ["--wait-for-lock", "repro", "--single-item", *(["--force"] if run.force else []), stage.name]
    seen: set[str] = set()

    def on_line(line: str) -> None:
        seen.update(kind for kind in ("Running stage", "is cached - skipping") if kind in line)
        if not line.startswith(HINTS):
            logger.info(line)

    with ExitStack() as stack:
        if stage.needs_gpu and PREFECT_API_URL.value():  # a temporary server has no limits
            stack.enter_context(concurrency(GPU_LIMIT, strict=False, lease_duration=LEASE_SECONDS))
        done = run.children.dvc(
            arguments, cwd=run.workspace.root, environment=run.workspace.environment(), on_line=on_line
        )
    if done.returncode:
        raise StageFailed(f"{stage.name} failed:\n  " + "\n  ".join(done.tail))
    if "Running stage" in seen:
        return Completed(message="ran", data=True)
    restored = "is cached - skipping" in seen
    return Completed(name="Cached", message="from the run-cache" if restored else "nothing has changed", data=restored)


class Run:
    """State shared by the tasks of one run. A plain class, so Prefect does not search it for futures."""

    def __init__(self, workspace: Workspace, children: Children, force: bool) -> None:
        self.workspace, self.children, self.force = workspace, children, force


def _run_stages(workspace: Workspace, targets: Sequence[str], children: Children, force: bool) -> State[Any]:
    graph = read_graph(workspace.root)
    graph = graph.upto(targets) if targets else graph
    run = Run(workspace, children, force)
    futures: dict[str, PrefectFuture[Any]] = {}
    try:
        for stage in graph.stages:
            named = run_stage.with_options(name=stage.name, task_run_name=stage.name, retries=stage.retries)
            before: Any = [futures[name] for name in stage.upstreams]  # Prefect passes their results to the task
            futures[stage.name] = named.submit(stage, stage.name in graph.stale, before, run)
        wait(list(futures.values()))
    except BaseException:  # a signal: the tasks' threads end only with their processes
        children.end()
        raise
    states = {name: future.state for name, future in futures.items()}
    failed = [state.message or name for name, state in states.items() if state.is_failed() or state.is_crashed()]
    if failed:
        return Failed(message="\n".join(message.removeprefix(PREFIX) for message in failed))
    _publish(workspace.root, graph)
    cached = sum(state.name == "Cached" for state in states.values())
    return Completed(message=f"{len(futures)} stages, {cached} of them cached")


def _publish(root: Path, graph: Graph) -> None:
    """Show the results in Prefect and in the log, if this run's stages write them."""
    logger = get_run_logger()
    if not graph.makes(RESULTS):
        logger.info("No table of results: %s is not made by the stages of this run", RESULTS)
        return
    rows = read_rows(root / RESULTS)
    create_table_artifact(key="robustness", table=rows, description=f"From {RESULTS}")
    logger.info("Results\n%s", table(rows))


@contextmanager
def _noted(home: Path) -> Iterator[None]:
    """Record the process of this flow run, so that `flows.server up` recognises a dead one."""
    note = state_folder(home) / "runs" / f"{flow_run.id}.json"
    note.write_text(json.dumps({"pid": os.getpid(), "started": psutil.Process().create_time()}))
    try:
        yield
    finally:
        note.unlink(missing_ok=True)
