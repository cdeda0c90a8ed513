"""A Prefect server for one run in the terminal, on the project's database, so that the run can be viewed later.

Not Prefect's own temporary server: that one gets the terminal's Ctrl-C, too, so that the run cannot report its end
(157 s and 205 lines of traceback), and it lives on when the run is killed. This one leads a session of its own and dies
with its parent.
"""

import atexit
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

from flows.processes import GUARD
from flows.settings import HOST, api_url, database, is_healthy, server_environment, state_folder, without_secrets
from umemma.errors import UmemmaError

SECONDS_TO_START = 120.0
SECONDS_TO_END = 3.0
APPLICATION = ("uvicorn", "--factory", "prefect.server.api.server:create_app", "--log-level", "error")


class ServerError(UmemmaError):
    """The server did not come up; the message holds the end of its log."""

    exit_code = 1


class TemporaryServer:
    """Starts at once; ends after Prefect's own threads, which report to it until the interpreter exits."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.url = api_url(_free_port())
        self._log = state_folder(root) / "logs" / "temporary.log"
        self._log.parent.mkdir(exist_ok=True)
        environment = {
            **os.environ,
            **server_environment(root, self.url),
            "PREFECT_SERVER_UI_ENABLED": "false",
            "PREFECT__SERVER_EPHEMERAL": "1",
        }
        port = self.url.removesuffix("/api").rpartition(":")[2]
        with open(self._log, "w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(GUARD), str(os.getpid()), *APPLICATION, "--host", HOST, "--port", port],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        atexit.register(self._stop)  # before Prefect is imported, so after what Prefect does at exit

    def wait(self) -> None:
        """Wait until it responds."""
        end = time.monotonic() + SECONDS_TO_START
        while not is_healthy(self.url):
            if self._process.poll() is not None or time.monotonic() > end:
                lines = "\n".join(self._log.read_text(errors="replace").splitlines()[-15:])
                told = without_secrets(lines, database(self._root))
                raise ServerError(f"Prefect's server did not start; the end of {self._log}:\n{told}")
            time.sleep(0.1)

    def _stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
