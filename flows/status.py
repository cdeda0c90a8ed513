"""`make status`: what runs, what ran last and what will run, in a few lines."""

import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from flows import turn
from flows.services import Service
from flows.settings import prefect_environment, server_url


def status(root: Path, *services: Service) -> bool:
    """Print it; return whether server and worker are up."""
    url = server_url(root)
    pids = {service.name: service.pid() for service in services}
    for name, pid in pids.items():
        _line(name, f"process {pid}" if pid else "down")
    _line("API", url.removesuffix("/api") if url else "does not answer; `make up` starts it")
    for name, turn_ in (("workspace", turn.workspace(root)), ("GPU", turn.gpu(root))):
        _line(name, turn_.holder() or "free")
    if url:
        os.environ.update(prefect_environment(root, url))
        for name, text in _of_server():
            _line(name, text)
    return bool(url and all(pids.values()))


def _line(name: str, text: str) -> None:
    print(f"{name:<10} {text}")


def _of_server() -> Iterator[tuple[str, str]]:
    """Yield the runs under way, the last one that has ended, and the schedules."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import (
        FlowRunFilter,
        FlowRunFilterId,
        FlowRunFilterState,
        FlowRunFilterStateType,
        TaskRunFilter,
        TaskRunFilterState,
        TaskRunFilterStateType,
    )
    from prefect.client.schemas.objects import StateType
    from prefect.client.schemas.sorting import FlowRunSort

    from flows.records import UNFINISHED

    def in_state(*types: StateType) -> FlowRunFilter:
        return FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[*types])))

    ended = StateType.COMPLETED, StateType.FAILED, StateType.CRASHED, StateType.CANCELLED
    running = TaskRunFilter(state=TaskRunFilterState(type=TaskRunFilterStateType(any_=[StateType.RUNNING])))
    with get_client(sync_client=True) as client:
        for run in client.read_flow_runs(flow_run_filter=in_state(*UNFINISHED)):
            ids = FlowRunFilter(id=FlowRunFilterId(any_=[run.id]))
            stages = [
                f"{task.name} since {_clock(task.start_time)}"
                for task in client.read_task_runs(flow_run_filter=ids, task_run_filter=running)
            ]
            yield "running", f"{run.name} since {_clock(run.start_time)}: {', '.join(stages) or run.state_name}"
        for run in client.read_flow_runs(flow_run_filter=in_state(*ended), sort=FlowRunSort.END_TIME_DESC, limit=1):
            message = (run.state.message or "").partition("\n")[0] if run.state else ""
            yield "last run", f"{run.name}: {run.state_name} at {_clock(run.end_time)}{message and f' ({message})'}"
        deployments = client.read_deployments()
        names: dict[UUID | None, str] = {
            deployment.id: f"{client.read_flow(deployment.flow_id).name}/{deployment.name}"
            for deployment in deployments
        }
        for deployment in deployments:
            for schedule in deployment.schedules:
                state = "" if schedule.active and not deployment.paused else " (paused)"
                yield "schedule", f"{names[deployment.id]}: {_shown(schedule.schedule)}{state}"
        planned = in_state(StateType.SCHEDULED)
        for run in client.read_flow_runs(
            flow_run_filter=planned, sort=FlowRunSort.NEXT_SCHEDULED_START_TIME_ASC, limit=1
        ):
            yield "next run", f"{names.get(run.deployment_id, run.name)} at {_clock(run.next_scheduled_start_time)}"


def _shown(schedule: Any) -> str:
    """Return cron or rrule as written, or the interval, with the time zone."""
    when = getattr(schedule, "cron", None) or getattr(schedule, "rrule", None) or f"every {schedule.interval}"
    return f"{when} {schedule.timezone or 'UTC'}"


def _clock(moment: datetime | None) -> str:
    """Return the time of the clock on the wall, with the day if it is another."""
    if moment is None:
        return "?"
    local = moment.astimezone()
    return f"{local:%H:%M:%S}" if local.date() == datetime.now().date() else f"{local:%Y-%m-%d %H:%M}"
