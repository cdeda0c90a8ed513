"""What `flows.server up` sets up in Prefect's database: the pool, and the state of dead runs.

A flow run whose process and worker are both gone stays Running forever. Each flow run notes its process (notes.py), so
one without a living process is marked Crashed here, with its tasks. Imports prefect: only once its settings are set.
"""

from pathlib import Path
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import State, StateType
from prefect.exceptions import ObjectAlreadyExists
from prefect.states import Crashed

from flows.notes import running

# How a worker starts a run. Prefect's own template for a process lets each run and deployment choose command, folder and
# environment; this one has no variables. Not even an empty `env`: Prefect would merge theirs into it.
JOB_TEMPLATE = {
    "job_configuration": {"stream_output": True},
    "variables": {"type": "object", "properties": {}, "additionalProperties": False},
}
UNFINISHED = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]


def put_in_order(root: Path, pool: str) -> None:
    """Create the pool if it is missing; mark dead runs as crashed.

    An existing pool may be of an earlier version or changed since, so its template is set again.
    """
    with get_client(sync_client=True) as client:
        try:
            client.create_work_pool(WorkPoolCreate(name=pool, type="process", base_job_template=JOB_TEMPLATE))
        except ObjectAlreadyExists:
            client.update_work_pool(pool, WorkPoolUpdate(base_job_template=JOB_TEMPLATE))
    mark_dead(root)


def has_worker(pool: str) -> bool:
    """Whether the pool has a worker that has reported."""
    with get_client(sync_client=True) as client:
        return bool(client.read_workers_for_work_pool(pool))


def mark_dead(root: Path) -> None:
    """Mark every unfinished run Crashed whose process is gone."""
    alive = running(root)
    with get_client(sync_client=True) as client:
        unfinished = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=UNFINISHED)))
        for flow_run in client.read_flow_runs(flow_run_filter=unfinished):
            if str(flow_run.id) not in alive:
                _crash(client, flow_run.id)


def _crash(client: SyncPrefectClient, flow_run_id: UUID) -> None:
    state: State[None] = Crashed(message="The process of this run is gone")
    tasks = client.read_task_runs(
        flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id])),
        task_run_filter=TaskRunFilter(state=TaskRunFilterState(type=TaskRunFilterStateType(any_=UNFINISHED))),
    )
    for task_run in tasks:
        client.set_task_run_state(task_run.id, state, force=True)
    client.set_flow_run_state(flow_run_id, state, force=True)
