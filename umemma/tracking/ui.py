"""`python -m umemma.tracking.ui PORT`: MLflow's pages of the store that the runs go to.

A store that is a server has pages of its own: they are named. Any other is shown by a server on loopback; its address,
which may hold a password, is handed over in the environment, as whoever uses the machine can see arguments.
"""

import os
import sys
from pathlib import Path

from umemma.errors import ParameterError, run
from umemma.parent_death import end_with_make
from umemma.paths import home
from umemma.redaction import redacted
from umemma.tracking.address import VARIABLE, address, database

HOST = "127.0.0.1"
PAGE = "#/experiments?workflowType=machine_learning"  # without it MLflow opens on pages for language models


def command(port: str) -> list[str]:
    """Return what shows a store on a port. Raises ParameterError if it is none."""
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise ParameterError(f"PORT={port}: not a port (1 to 65535)")
    return ["mlflow", "ui", "--host", HOST, "--port", port, "--workers", "1"]  # of the usual 4, each takes 300 MB


def main() -> None:
    """Say where the pages are, and become MLflow's server where the store is no server itself."""
    uri, given = address(home()), command(sys.argv[1])
    if uri.startswith(("http://", "https://")):
        print(f"the runs are on {redacted(uri)}, which {VARIABLE} names")
        return
    if path := database(uri):
        from umemma.tracking.database import locked, ready

        with locked(path.parent):
            ready(path)
    print(f"the runs of {redacted(uri)}, until Ctrl-C:\n\n  http://{HOST}:{sys.argv[1]}/{PAGE}\n", flush=True)
    binary = Path(sys.executable).with_name(given[0])
    end_with_make()  # MLflow's server inherits that
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    environment |= {"MLFLOW_BACKEND_STORE_URI": uri, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    os.execve(binary, given, environment)


if __name__ == "__main__":
    run(main)
