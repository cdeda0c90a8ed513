"""The machine itself: a process per core for a map, and torchrun for ranks."""

import logging
import multiprocessing
import os
import pickle
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

from umemma.launchers.launcher import Job, Result, opened, outcome
from umemma.parent_death import end_with_parent

_WORTH_WORKERS = 15.0  # seconds of work: torch is imported again first, 3 s


@dataclass(frozen=True)
class Launcher:
    """`workers` processes; None: one per core, where they cost nothing or the first job shows that there is enough to do."""

    workers: int | None = None

    def map(self, function: Callable[[Job], Result], jobs: Sequence[Job]) -> Iterator[Result]:
        """Yield `function` of each job, in order."""
        others, context = list(jobs), _context()
        is_forked = context.get_start_method() == "fork"
        if self.workers is None and others and not is_forked:
            start = time.monotonic()
            yield function(others.pop(0))
            if (time.monotonic() - start) * len(others) < _WORTH_WORKERS:
                yield from map(function, others)
                return
        workers = min(self.workers or len(os.sched_getaffinity(0)), len(others))
        if workers < 2 or (is_forked and not _can_be_shared(function)):
            yield from map(function, others)
            return
        with ProcessPoolExecutor(workers, context, _remember, (function,)) as pool:
            yield from map(opened, pool.map(_call_remembered, others))

    def train(self, command: Sequence[str], devices: int) -> int:
        """Start the ranks with torchrun's agent, which ends all when one fails; name a rank that a signal ended."""
        from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
        from torch.distributed.launcher.api import LaunchConfig, elastic_launch

        logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)  # tables about a failed rank
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=devices,
            run_id=f"{os.getpid()}",
            rdzv_backend="c10d",
            rdzv_endpoint="127.0.0.1:0",
            local_addr="127.0.0.1",
            max_restarts=0,
        )
        try:
            elastic_launch(config, command[0])(*command[1:])
        except ChildFailedError as error:
            rank, failure = error.get_first_failure()
            if failure.exitcode < 0:
                name = signal.Signals(-failure.exitcode).name
                print(f"ERROR: rank {rank} was ended by {name}", file=sys.stderr, flush=True)
            return abs(failure.exitcode)
        return 0


def _context() -> Any:
    """Fork, so that what a function holds is shared, not copied; but a fork hangs in an operation that torch gives threads.

    There, a process that has computed nothing is forked. It imports what is imported here once, for all workers: a worker that
    imports by itself reads its function only then, and the pool starts the next one when it has read.
    """
    torch = sys.modules.get("torch")
    if torch is None or torch.get_num_threads() == 1:
        return multiprocessing.get_context("fork")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([name for name in sys.modules if name.startswith("umemma.")])
    return context


def _can_be_shared(function: Callable[[Any], Any]) -> bool:
    """Return whether `function` holds values only: forked processes would move the position in an open file for each other."""
    try:
        pickle.Pickler(_Nowhere()).dump(function)
    except (pickle.PicklingError, TypeError, AttributeError):  # what pickle raises, by the kind of what it cannot copy
        return False
    return True


class _Nowhere:
    def write(self, content: bytes) -> int:
        return len(content)


_remembered: list[Callable[[Any], Any]] = []  # the function that a worker process was started with


def _remember(function: Callable[[Any], Any]) -> None:
    end_with_parent()
    _remembered[:] = [function]


def _call_remembered(job: Any) -> Any:
    return outcome(_remembered[0], job)
