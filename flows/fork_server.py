"""A server of copies for many stages (stages/_fork_server.py): imports once for a whole run or ablation, not once for each stage."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from flows.processes import GUARD, ForkServer


@contextmanager
def fork_server(home: Path) -> Iterator[ForkServer | None]:
    """Start a server; end it with all that it runs. None where the system cannot have one: then each stage imports."""
    if not _has_descriptors_of_processes():
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="umemma-") as folder:  # the path of a socket has 100 characters at most
        address = str(Path(folder) / "stages")
        process = subprocess.Popen(
            [sys.executable, "-P", str(GUARD), str(os.getpid()), "stages._fork_server", address],
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            yield ForkServer({"UMEMMA_FORK_SERVER": address}, process.pid)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _has_descriptors_of_processes() -> bool:
    """Whether this is Linux 5.3 or later, and no container forbids it."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        return False
    return True
