"""The runs in Prefect's database that have ended long ago. Imports prefect: only once its settings are set."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterEndTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType

ENDED = [StateType.COMPLETED, StateType.FAILED, StateType.CRASHED, StateType.CANCELLED]
_PAGE = 200  # what the server gives at once


def ended_before(moment: datetime) -> list[UUID]:
    """Return the flow runs that ended before a moment."""
    ended = FlowRunFilter(
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=ENDED)),
        end_time=FlowRunFilterEndTime.model_validate({"before_": moment}),
    )
    found: list[UUID] = []
    with get_client(sync_client=True) as client:
        while page := client.read_flow_runs(flow_run_filter=ended, limit=_PAGE, offset=len(found)):
            found += [run.id for run in page]
    return found


def remove(runs: Iterable[UUID]) -> None:
    """Remove runs with their tasks and logs."""
    with get_client(sync_client=True) as client:
        for run in runs:
            client.delete_flow_run(run)
