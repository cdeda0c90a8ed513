"""Nothing outlives the process that it works for, even where that is killed."""

import os
import signal
import subprocess
import sys

import psutil
import pytest

WORKERS = """
import os, time
from umemma.launchers.local_launcher import Launcher
def wait(_):
    os.write(1, f"{os.getpid()}\\n".encode())
    time.sleep(60)
list(Launcher(2).map(wait, [1, 2]))
"""


def test_workers_end_with_the_process_that_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", WORKERS], stdout=subprocess.PIPE) as stage:
        assert stage.stdout is not None
        workers = [psutil.Process(int(stage.stdout.readline())) for _ in range(2)]
        stage.kill()
    assert not psutil.wait_procs(workers, timeout=20)[1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_who_comes_too_late_gets_the_signal_at_once(number: signal.Signals) -> None:
    program = f"from umemma.parent_death import end_with_parent; end_with_parent({number}, {os.getppid()}); input()"
    done = subprocess.run([sys.executable, "-c", program], stdin=subprocess.PIPE, timeout=60, check=False)
    assert done.returncode == -number
