"""A Ray of two nodes on loopback, a core each: the real daemons, with a folder of their own, for tests."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

DOOMED = "UMEMMA_TEST_DOOMED"  # a variable that only the second node's tasks see
_SYSTEM = {
    "worker_niceness": 0,  # by default 15: beside other work on the machine a task would not begin
    # a busy machine answers late; a node that was killed refuses the connection, and is given up after 5 s
    "health_check_initial_delay_ms": 5_000,
    "health_check_period_ms": 1_000,
    "health_check_timeout_ms": 60_000,
    "health_check_failure_threshold": 5,
}
_NODE = {"num_cpus": 1, "object_store_memory": 100 * 2**20, "include_dashboard": False}


@contextmanager
def running() -> Iterator[str]:
    """Start both nodes, yield the address; stop them by their own pids."""
    folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # a socket's path has at most 107 bytes
    patch = pytest.MonkeyPatch()
    patch.setenv("RAY_TMPDIR", folder)
    patch.setenv("RAY_raylet_start_wait_time_s", "300")
    patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(shutdown_at_exit=False)
    try:
        cluster.add_node(node_ip_address="127.0.0.2", _system_config=_SYSTEM, **_NODE)
        cluster.add_node(node_ip_address="127.0.0.3", env_vars={DOOMED: "1"}, **_NODE)
        yield cluster.address
    finally:
        ray.shutdown()
        for node in [*cluster.worker_nodes, cluster.head_node]:
            node.kill_all_processes(check_alive=False, allow_graceful=False, wait=True)
        patch.undo()
        shutil.rmtree(folder)
