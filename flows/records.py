"""What `flows.server up` sets up in Prefect's database: the pool, and the state of dead runs.

A flow run whose process and worker are both gone stays Running forever. Each flow run notes its process (notes.py), so
one without a living process is marked Crashed here, with its tasks. Imports prefect: only once its settings are set.
"""

from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterNextScheduledStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectAlreadyExists
from prefect.states import Cancelled, Crashed

from flows.notes import forget, notes
from flows.settings import POOL, database

# How a worker starts a run. Prefect's own template for a process lets each run and deployment choose command, folder and
# environment; this one has no variables. Not even an empty `env`: Prefect would merge theirs into it.
JOB_TEMPLATE = {
    "job_configuration": {"stream_output": True},
    "variables": {"type": "object", "properties": {}, "additionalProperties": False},
}
UNFINISHED = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]


def put_in_order(root: Path) -> list[str]:
    """Create the pool if it is missing; mark dead runs as crashed; return a line for each schedule with missed runs.

    An existing pool may be of an earlier version or changed since, so its template is set again.
    """
    with get_client(sync_client=True) as client:
        try:
            client.create_work_pool(WorkPoolCreate(name=POOL, type="process", base_job_template=JOB_TEMPLATE))
        except ObjectAlreadyExists:
            client.update_work_pool(POOL, WorkPoolUpdate(base_job_template=JOB_TEMPLATE))
        missed = _drop_missed(client)
    mark_dead(root)
    return missed


def _drop_missed(client: SyncPrefectClient) -> list[str]:
    """Of the runs that each deployment's schedules have missed, leave the newest, to be made up for.

    Prefect plans runs ahead, and its worker would start all those at once whose time has passed while it was down.
    """
    planned = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED]))
    passed = FlowRunFilterNextScheduledStartTime.model_validate({"before_": datetime.now(UTC)})
    late: dict[UUID | None, list[FlowRun]] = {}
    for flow_run in client.read_flow_runs(
        flow_run_filter=FlowRunFilter(state=planned, next_scheduled_start_time=passed),
        sort=FlowRunSort.EXPECTED_START_TIME_DESC,
    ):
        if flow_run.auto_scheduled:
            late.setdefault(flow_run.deployment_id, []).append(flow_run)
    for newest, *others in late.values():
        for other in others:
            state: State[None] = Cancelled(name="Missed", message=f"its time passed; {newest.name} makes up for it")
            client.set_flow_run_state(other.id, state, force=True)
    return [f"{len(runs)} runs of a schedule were missed; {runs[0].name} makes up for them" for runs in late.values()]


def has_worker(since: datetime) -> bool:
    """Whether a worker of the pool has reported since then."""
    with get_client(sync_client=True) as client:
        workers = client.read_workers_for_work_pool(POOL)
    return any(worker.last_heartbeat_time and worker.last_heartbeat_time >= since for worker in workers)


def mark_dead(root: Path) -> None:
    """Mark every unfinished run Crashed whose process is gone, and what is unfinished of its stages.

    A database of the user's own may hold the runs of other machines, so there only those are marked that ran here.
    """
    is_shared = database(root) is not None
    noted = notes(root)
    dead, alive = ({note.run for note in noted if note.is_alive is lives} for lives in (False, True))
    state: State[None] = Crashed(message="The process of this run is gone")
    with get_client(sync_client=True) as client:
        unfinished = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=UNFINISHED)))
        ids = {
            str(flow_run.id)
            for flow_run in client.read_flow_runs(flow_run_filter=unfinished)
            if flow_run.work_pool_name in (None, POOL)  # others run elsewhere
        }
        to_mark = ids & dead if is_shared else ids - alive
        for flow_run_id in to_mark:
            client.set_flow_run_state(UUID(flow_run_id), state, force=True)
        for flow_run_id in to_mark | dead:  # a worker marks the run, and not its stages
            for task_run in client.read_task_runs(
                flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[UUID(flow_run_id)])),
                task_run_filter=TaskRunFilter(state=TaskRunFilterState(type=TaskRunFilterStateType(any_=UNFINISHED))),
            ):
                client.set_task_run_state(task_run.id, state, force=True)
    forget(root, dead)
