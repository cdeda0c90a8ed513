"""A Slurm of one node on loopback: the real daemons, with a configuration and state of their own, for tests."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DAEMONS = ("slurmctld", "slurmd")
_SECONDS = 30.0


def is_installed() -> bool:
    return all(shutil.which(name) for name in (*DAEMONS, "sbatch", "srun"))


def _free_ports(number: int) -> list[int]:
    sockets = [socket.socket() for _ in range(number)]
    for free in sockets:
        free.bind(("127.0.0.1", 0))
    ports = [free.getsockname()[1] for free in sockets]
    for free in sockets:
        free.close()
    return ports


def _configuration(folder: Path) -> str:
    host, (control, node) = socket.gethostname().partition(".")[0], _free_ports(2)
    return f"""
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/none
CredType=cred/none
SlurmctldPort={control}
SlurmdPort={node}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs=8 RealMemory=4000
PartitionName=tests Nodes=ALL Default=YES MaxTime=INFINITE
"""


@contextmanager
def running(folder: Path) -> Iterator[Path]:
    """Start the daemons, wait until the node is idle, yield the configuration's path; stop them by their own pids."""
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    path = folder / "slurm.conf"
    path.write_text(_configuration(folder))
    environment = {**os.environ, "SLURM_CONF": str(path)}
    daemons = []
    try:
        for name in DAEMONS:
            with (folder / f"{name}.log").open("w") as log:
                daemons.append(subprocess.Popen([name, "-D", "-c"], env=environment, stdout=log, stderr=log))
        deadline = time.monotonic() + _SECONDS
        while "idle" not in _state(environment):
            assert time.monotonic() < deadline, (folder / "slurmctld.log").read_text()
            time.sleep(0.5)
        yield path
    finally:
        for daemon in daemons:
            daemon.terminate()
            daemon.wait()


def _state(environment: dict[str, str]) -> str:
    asked = subprocess.run(["sinfo", "-h", "-o", "%T"], env=environment, capture_output=True, text=True, check=False)
    return asked.stdout
