"""The Prefect flow `ume-mma`: one task per stage of dvc.yaml, each running DVC for that stage alone.

DVC is the only cache. A task with nothing to do ends in the state `Cached`. A task returns whether it wrote anything,
and DVC checks a stage that was fresh at the start again only if an upstream stage wrote. A stage that DVC restores from
its run-cache is `Cached` and has written, so its downstream stages are checked.

Tasks have no tags, as each costs a call to the server. Who waits for the workspace or the GPU waits for a lock of the
kernel (turn.py), not for a limit of the server: it is free again at once when a run is killed, and holds without a server.
"""

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.futures import PrefectFuture, wait
from prefect.runtime import flow_run
from prefect.states import Cancelled, Completed, Failed
from prefect.task_runners import ThreadPoolTaskRunner

from flows.dvc_records import mend
from flows.experiments import Experiments
from flows.fork_server import fork_server
from flows.git import git
from flows.graph import Graph, Stage, read_graph
from flows.outcome import mute, outcome
from flows.processes import Cancelled as Ended
from flows.processes import Children, Finished
from flows.results import PAGE, RESULTS, Results, read
from flows.settings import is_gone
from flows.stop import SECONDS_TO_END
from flows.turn import gpu, wait_for_dvc, workspace
from flows.workspace import Workspace, experiment, own_workspace, prune
from umemma.errors import UmemmaError


class StageFailed(UmemmaError):
    """A stage ended with an error; the message holds its last lines."""

    exit_code = 1


PREFIX = f"Task run encountered an exception {StageFailed.__name__}: "  # Prefect's
BUSY = "is busy, it is being blocked by"  # DVC's, of a path that another `dvc` reads or writes
# Hints for interactive use, which DVC prints after every stage.
HINTS = (
    "To track the changes with git",
    "\tgit add",
    "To enable auto staging",
    "\tdvc config core.autostage",
    "Use `dvc push`",
)


THREADS: Any = ThreadPoolTaskRunner(max_workers=32)  # they only wait; DVC does the work


def named() -> str:
    """Return the name of the experiment, which the flow run has, too; Prefect's two words if none was given."""
    return str(flow_run.parameters.get("name") or flow_run.name)


@flow(name="ume-mma", flow_run_name=named, task_runner=THREADS, persist_result=False)
def ume_mma(
    overrides: Sequence[str] = (), targets: Sequence[str] = (), name: str | None = None, force: bool = False
) -> State[Any]:
    """Bring the pipeline up to date.

    overrides: `key=value` as in `dvc exp run -S`; the run is then an experiment in a worktree, not in the workspace.
    targets: stages to stop at; all if empty. name: of the experiment; a name alone makes the run an experiment, too.
    force: run every stage, changed or not.
    """
    return outcome(lambda home: _work(home, overrides, targets, name, force))


def _work(home: Path, overrides: Sequence[str], targets: Sequence[str], name: str | None, force: bool) -> State[Any]:
    tell = get_run_logger().info
    kept = (name or str(flow_run.name)) if overrides or name else None
    with ExitStack() as stack:
        if kept:
            here = stack.enter_context(experiment(home, overrides, kept, get_run_logger().warning))
        else:
            if is_scheduled() and (holder := workspace(home).holder()):
                return Cancelled(name="Skipped", message=f"at its time the workspace was taken by {holder}")
            stack.enter_context(workspace(home).taken(f"the flow run {flow_run.name}", tell))
            wait_for_dvc(home, tell)
            mend(home, tell)
            prune(home)
            here = own_workspace(home)
        children = Children(stack.enter_context(fork_server(home)))
        stack.callback(children.end)
        graph = read_graph(here.root)
        graph = graph.upto(targets) if targets else graph
        state = _run_stages(graph, Run(here, children, force))
        if state.is_completed():
            results = read(here.root / RESULTS) if graph.makes(RESULTS) else None
            if kept:
                Experiments(home, git(here.root, "rev-parse", "HEAD")).keep(here, kept)
            tell(_closing(home, results, kept))
        return state


def _closing(home: Path, results: Results | None, kept: str | None) -> str:
    """Show the results in Prefect; return the last lines of the log: the table, and where all of it is."""
    lines = []
    if results:
        if not is_gone(os.environ.get("PREFECT_API_URL", "")):
            create_table_artifact(key="robustness", table=list(results.rows), description=results.title)
        lines += [f"Results of {results.shown()}"]
    else:
        lines += [f"No table of results: {RESULTS} is not made by the stages of this run"]
    if kept:
        lines += [f"experiment: {kept}, with its report; `dvc exp apply {kept}` brings its files here"]
    elif results:
        lines += [f"report: {(home / PAGE).as_uri()}"]
    if results:
        lines += [f"MLflow: {f'run {kept} of ' if kept else ''}experiment {results.dataset}; `make ui` prints the link"]
    return "\n".join(lines)


@task(name="stage", cache_policy=NO_CACHE, persist_result=False)
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

    try:
        done = _dvc(stage, arguments, run, on_line)
    except Ended:
        return Cancelled(message="the run was stopped")
    if done.has_timed_out:
        limit = f"meta.timeout_seconds of {stage.name} in dvc.yaml, {stage.timeout_seconds:g}"
        raise StageFailed(f"{stage.name} was ended, for it took longer than {limit}; raise it if the stage needs more")
    if done.returncode:
        raise StageFailed(f"{stage.name} failed:\n  " + "\n  ".join(done.tail))
    if "Running stage" in seen:
        return Completed(message="ran", data=True)
    restored = "is cached - skipping" in seen
    return Completed(name="Cached", message="from the run-cache" if restored else "nothing has changed", data=restored)


def _dvc(stage: Stage, arguments: Sequence[str], run: "Run", on_line: Callable[[str], None]) -> Finished:
    """Run DVC for a stage, in turn: again where another `dvc` was faster, and on the GPU one stage at a time."""
    here, children = run.workspace, run.children
    with ExitStack() as stack:
        if stage.needs_gpu:
            stack.enter_context(gpu(here.home).taken(f"{stage.name} of {flow_run.name}", on_line, children.pause))
        while True:
            done = children.dvc(
                arguments,
                cwd=here.root,
                environment=here.environment(),
                on_line=on_line,
                timeout_seconds=stage.timeout_seconds,
            )
            if not any(BUSY in line for line in done.tail):
                return done
            wait_for_dvc(here.root, on_line, children.pause, own=children.pids())
            children.pause()


class Run:
    """State shared by the tasks of one run. A plain class, so Prefect does not search it for futures."""

    def __init__(self, workspace: Workspace, children: Children, force: bool) -> None:
        self.workspace, self.children, self.force = workspace, children, force


def _run_stages(graph: Graph, run: Run) -> State[Any]:
    futures: dict[str, PrefectFuture[Any]] = {}
    try:
        for stage in graph.stages:
            named = run_stage.with_options(
                name=stage.name,
                task_run_name=stage.name,
                retries=stage.retries,
                retry_delay_seconds=stage.retry_delay_seconds,
            )
            before: Any = [futures[name] for name in stage.upstreams]  # Prefect passes their results to the task
            futures[stage.name] = named.submit(stage, stage.name in graph.stale, before, run)
        wait(list(futures.values()))
    except BaseException:  # a signal: the tasks' threads end only with their processes
        mute()
        run.children.end()
        wait(list(futures.values()), timeout=SECONDS_TO_END / 2)
        raise
    states = {name: future.state for name, future in futures.items()}
    failed = [state.message or name for name, state in states.items() if state.is_failed() or state.is_crashed()]
    if failed:
        return Failed(message="\n".join(message.removeprefix(PREFIX) for message in failed))
    cached = sum(state.name == "Cached" for state in states.values())
    return Completed(message=f"{len(futures)} stages, {cached} of them cached")


def is_scheduled() -> bool:
    """Whether a schedule has started this run, not a person."""
    context = FlowRunContext.get()
    return bool(context and context.flow_run and context.flow_run.auto_scheduled)
