"""How a flow run ends: by what its work returns, by an error that a person can fix, or by a signal.

Prefect would print a trace for the second and call the third a crash.
"""

import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prefect import get_run_logger
from prefect.client.schemas.objects import State
from prefect.exceptions import CancelledRun, FailedRun, TerminationSignal
from prefect.runtime import flow_run
from prefect.states import Cancelled, Failed
from rich.console import Console

from flows.graph import project_root
from flows.notes import noted
from flows.settings import is_gone
from flows.stop import Stopped, listen_again
from umemma.errors import UmemmaError


def outcome(work: Callable[[Path], State[Any]]) -> State[Any]:
    """Do the work of a flow run in the project of the current folder; return the state in which the run ends."""
    home = project_root(Path.cwd())
    listen_again()
    Console.on_broken_pipe = _to_nowhere  # type: ignore[assignment, method-assign]
    logging.getLogger("prefect.flow_runs").addFilter(_is_news)
    try:
        with noted(home, str(flow_run.id)):
            try:
                state = work(home)
            except UmemmaError as error:
                get_run_logger().error(str(error))
                state = Failed(message=str(error).partition("\n\n")[0])  # the log has the tables
            _leave_if_alone(state)
            return state
    except (Stopped, TerminationSignal):
        mute()
        return Cancelled(message="stopped; finished stages are kept, and the next run goes on from there")


def _leave_if_alone(state: State[Any]) -> None:
    """End this process if its server is gone: Prefect would try for minutes to report the end of the run to it.

    The note of the run stays, by which the next `flows.server up` marks it as crashed.
    """
    url = os.environ.get("PREFECT_API_URL", "")
    if is_gone(url):
        mute()
        ended = f"{state.name}: {state.message}" if state.message else str(state.name)
        print(
            f"{ended}; but the Prefect server at {url} is gone, so its records do not say so",
            file=sys.stderr,
            flush=True,
        )
        os._exit(0 if state.is_completed() else 1)


def _to_nowhere(console: Console) -> None:
    """Go on where nobody reads what is printed, as the worker was killed: rich would end the process, and so the run."""
    console.quiet = True
    with open(os.devnull, "wb") as nowhere:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(nowhere.fileno(), stream.fileno())


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a record is more than Prefect's trace of a state that a run has returned, and that has been logged."""
    return not (record.exc_info and isinstance(record.exc_info[1], FailedRun | CancelledRun))


def mute() -> None:
    """Write nothing more to the terminal or the worker's log: what follows a signal is told by whoever sent it."""
    for handler in logging.getLogger().handlers:
        handler.setLevel(logging.CRITICAL + 1)
