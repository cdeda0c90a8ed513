"""Ray: a map is one task for each job, ranks are tasks that a placement group starts together.

The cluster is the one that `address` or RAY_ADDRESS names; without either Ray looks for one on this machine, else starts
one there. All other options are those of Ray's tasks, such as `num_cpus`, `num_gpus` or `resources`, for a job or a rank.
"""

import logging
import os
import subprocess
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import Any

from umemma.errors import SettingError
from umemma.launchers.launcher import Job, Result, extra, opened, outcome

_RUNS = 3  # of a job, or of all ranks, whose node was lost
_PATIENCE_SECONDS = 30.0  # until it is said what a training waits for
_ENDS = 4_000  # characters of what a rank said of errors


@dataclass(frozen=True)
class Launcher:
    """At most `workers` jobs at once; None: as many as the cluster has room for."""

    workers: int | None
    options: Mapping[str, Any]

    def map(self, function: Callable[[Job], Result], jobs: Sequence[Job]) -> Iterator[Result]:
        """Yield `function` of each job; Ray runs one again whose node was lost."""
        if not jobs:
            return
        call = self._task(_call, max_retries=_RUNS - 1)
        ray = self._joined()
        shared = ray.put((function, _Place.here()))  # once, not with each job: it may hold an adapter's arrays
        results: deque[Any] = deque()
        running: list[Any] = []
        try:
            for job in jobs:
                if len(running) == self.workers:
                    _, running = ray.wait(running)
                results.append(call.remote(shared, job))
                running.append(results[-1])
                while results[0] not in running:
                    yield opened(ray.get(results.popleft()))
            while results:
                yield opened(ray.get(results.popleft()))
        finally:
            for each in results:
                ray.cancel(each)

    def train(self, command: Sequence[str], devices: int) -> int:
        """Run the ranks and print what the first of them prints; if a node is lost, all begin again together."""
        ray = self._joined()
        from ray.exceptions import LocalRayletDiedError, NodeDiedError, WorkerCrashedError

        for run in range(1, _RUNS + 1):
            try:
                return self._trained(ray, command, devices)
            except (LocalRayletDiedError, NodeDiedError, WorkerCrashedError):
                if run == _RUNS:
                    raise
        raise AssertionError("the last run returns or raises")

    def _trained(self, ray: Any, command: Sequence[str], devices: int) -> int:
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy
        from torch.distributed import TCPStore

        with self._grouped(ray, devices) as (group, nodes):
            address = ray.util.get_node_ip_address()
            store = TCPStore(address, 0, is_master=True, wait_for_workers=False)
            running = []
            for number, node in enumerate(nodes):
                variables = {
                    "RANK": number,
                    "WORLD_SIZE": devices,
                    "LOCAL_RANK": 0 if self.options.get("num_gpus") else nodes[:number].count(node),
                    "LOCAL_WORLD_SIZE": Counter(nodes)[node],
                    "MASTER_ADDR": address,
                    "MASTER_PORT": store.port,
                    "TORCHELASTIC_USE_AGENT_STORE": True,  # the store is here already, none of the ranks opens it
                }
                place = PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=number)
                rank = self._task(_run_rank, max_retries=0, num_returns="streaming", scheduling_strategy=place)
                stage = _Place.here({name: str(value) for name, value in variables.items()})
                running.append(rank.remote(list(command), stage))
            try:
                return _followed(ray, running)
            finally:
                for each in running:
                    ray.cancel(each)

    @contextmanager
    def _grouped(self, ray: Any, devices: int) -> Iterator[tuple[Any, list[str]]]:
        """Reserve room for all ranks at once, as half of them would wait for the others for ever; yield it, and each one's node."""
        from ray.util import placement_group_table, remove_placement_group

        wanted = {
            "CPU": self.options.get("num_cpus", 1),
            "GPU": self.options.get("num_gpus", 0),
            **self.options.get("resources", {}),
        }
        bundle = {name: amount for name, amount in wanted.items() if amount}
        group = ray.util.placement_group([bundle] * devices)
        try:
            if not group.wait(_PATIENCE_SECONDS):
                print(f"waiting until Ray has room for {devices} times {bundle}; all of it: {ray.cluster_resources()}")
                ray.get(group.ready())
            nodes = placement_group_table(group)["bundles_to_node_id"]
            yield group, [nodes[number] for number in range(devices)]
        finally:
            remove_placement_group(group)

    def _task(self, function: Callable[..., Any], **fixed: Any) -> Any:
        ray = _imported()
        options = {key: value for key, value in self.options.items() if key != "address"}
        try:
            return ray.remote(function).options(**{"name": "umemma", **options, **fixed})
        except (TypeError, ValueError) as error:
            raise SettingError(f"compute.ray: {error}") from error

    def _joined(self) -> Any:
        """Return Ray, joined by this process until it ends."""
        ray = _imported()
        if not ray.is_initialized():
            try:
                ray.init(self.options.get("address"), log_to_driver=False, logging_level=logging.ERROR)
            except (ConnectionError, ValueError) as error:
                raise SettingError(f"compute.ray: {error}") from error
        return ray


def _imported() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # Ray warns where nothing is said
    with extra("ray"):
        import ray
    return ray


@dataclass(frozen=True)
class _Place:
    """The folder and variables of the stage, which a task on another node takes over; Ray's own stay as they are there.

    Not Ray's `runtime_env`: that is written to logs and shown on a page, and variables may hold passwords.
    """

    folder: str
    variables: Mapping[str, str]

    @classmethod
    def here(cls, more: Mapping[str, str] | None = None) -> "_Place":
        own = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "CUDA_VISIBLE_"))}
        return cls(os.getcwd(), {**own, **(more or {})})


def _call(shared: tuple[Callable[[Any], Any], _Place], job: Any) -> Any:
    function, place = shared
    os.chdir(place.folder)
    os.environ.update(place.variables)
    return outcome(function, job)


def _run_rank(command: Sequence[str], place: _Place) -> Iterator[str | tuple[int, str]]:
    """Be one rank of a training; yield the lines that it prints, then its exit code and the end of what it said of errors."""
    with TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command,
            cwd=place.folder,
            env={**os.environ, **place.variables},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        try:
            assert process.stdout is not None, "it is a pipe"
            yield from (line for line in process.stdout)  # Ray sends something to what yields, which a file cannot take
            code = process.wait()
        finally:
            process.kill()
        errors.seek(0)
        yield code, errors.read()[-_ENDS:]


def _followed(ray: Any, running: Sequence[Any]) -> int:
    """Print what the first rank prints, until all have ended well or one has not; return the code of that one."""
    left = list(running)
    while left:
        [ready], _ = ray.wait(left)
        try:
            said = ray.get(next(ready))
        except StopIteration:
            left.remove(ready)
            continue
        if isinstance(said, str):
            if ready is running[0]:
                print(said, end="", flush=True)
        elif said[0]:
            print(said[1], end="", file=sys.stderr, flush=True)
            return abs(said[0])
    return 0
