"""Slurm, through submitit: a map is an array of jobs, ranks are one job whose tasks srun starts.

torchrun is not used inside a job: srun starts the ranks itself, and submitit tells each of them its place. Options are
those of submitit's `update_parameters`, such as `slurm_partition`, `timeout_min`, `cpus_per_task` or `gpus_per_node`, and
`cluster`, `local` to try without Slurm.
"""

import logging
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from umemma.errors import SettingError
from umemma.launchers.launcher import Job, Result, extra, opened, outcome

_WORKERS = 16  # jobs of an array, if nothing is said
_MINUTES = 24 * 60  # submitit's own default is 5
_SUBMISSIONS = 3  # of a job whose node was lost


@dataclass(frozen=True)
class Launcher:
    """`workers` jobs of an array; `logs` is where submitit keeps functions, results and output, seen by all nodes."""

    workers: int | None
    options: Mapping[str, Any]
    logs: Path

    def map(self, function: Callable[[Job], Result], jobs: Sequence[Job]) -> Iterator[Result]:
        """Yield `function` of each job; each of the array's jobs has every `workers`-th. Those of a lost one run again."""
        number = min(self.workers or _WORKERS, len(jobs))
        if not number:
            return
        executor = self._executor("map")
        # Written once, not with each job: it may hold an adapter's arrays.
        shared = self.logs.resolve() / f"{uuid4().hex}.pickle"
        shared.parent.mkdir(parents=True, exist_ok=True)
        shared.write_bytes(_pickled((function, list(jobs))))
        share = partial(_share, shared, number)
        running = executor.map_array(share, range(number))
        try:
            shares = [_result(executor, job, partial(share, first)) for first, job in enumerate(running)]
        finally:
            for job in running:
                if not job.done():
                    job.cancel()
            shared.unlink()
        yield from (opened(shares[position % number][position // number]) for position in range(len(jobs)))

    def train(self, command: Sequence[str], devices: int) -> int:
        """Run the ranks as the tasks of one job, and print what the first of them printed."""
        nodes = self.options.get("nodes", 1)
        if devices % nodes:
            raise SettingError(
                f"compute.devices is {devices}, which {nodes} nodes (compute.slurm.nodes) cannot share evenly"
            )
        executor = self._executor("train", tasks_per_node=devices // nodes)
        job = executor.submit(_run_rank, list(command))
        try:
            finished = job.results()
        finally:
            if not job.done():
                job.cancel()
        lines = (job.stdout() or "").splitlines(keepends=True)
        print("".join(line for line in lines if not line.startswith("submitit ")), end="", flush=True)
        failed = [task for task in finished if task[0]]
        if failed:
            print(failed[0][1], end="", file=sys.stderr, flush=True)
        return abs(failed[0][0]) if failed else 0

    def _executor(self, name: str, **parameters: Any) -> Any:
        with extra("slurm"):
            import submitit
        logging.getLogger("submitit").setLevel(logging.ERROR)  # it warns of a cluster without accounting
        options = {key: value for key, value in self.options.items() if key != "cluster"}
        try:
            executor = submitit.AutoExecutor(self.logs, cluster=self.options.get("cluster"))
            executor.update_parameters(name=f"umemma-{name}", **{"timeout_min": _MINUTES, **parameters, **options})
        except (NameError, TypeError, ValueError, RuntimeError) as error:
            raise SettingError(f"compute.slurm: {error}") from error
        return executor


def _result(executor: Any, job: Any, again: Callable[[], Any]) -> Any:
    """Return what a job returned; one that ended without a result, as its node was lost, is submitted again."""
    from submitit.core.utils import UncompletedJobError

    for submission in range(1, _SUBMISSIONS + 1):
        try:
            return job.result()
        except UncompletedJobError:
            if submission == _SUBMISSIONS:
                raise
            job = executor.submit(again)


def _pickled(content: Any) -> bytes:
    import cloudpickle  # submitit's own: it takes functions of a script by value

    pickled: bytes = cloudpickle.dumps(content)
    return pickled


def _share(shared: Path, number: int, first: int) -> list[Any]:
    function, jobs = pickle.loads(shared.read_bytes())
    return [outcome(function, job) for job in jobs[first::number]]


def _run_rank(command: Sequence[str]) -> tuple[int, str]:
    """Be one task of a training; return its exit code and the end of what it said of errors."""
    from submitit.helpers import TorchDistributedEnvironment

    TorchDistributedEnvironment().export(set_cuda_visible_devices=False)
    finished = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    sys.stderr.write(finished.stderr)
    return finished.returncode, finished.stderr[-4_000:]
