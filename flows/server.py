"""The Prefect server of this project: `python -m flows.server up|down|status`.

`up` starts what is not running of a server (this machine only, with a password), a process work pool with a worker and
the deployments of prefect.yaml, waits until they respond and returns. All state is in `.prefect/`, but for a database of
the user's own; the file prefect.toml in the root points every `prefect` command typed there to this server.

The server and worker are Prefect's own commands; the pool is created by its client, because each further `prefect`
command takes two to three seconds to import.
"""

import argparse
import os
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from flows.graph import project_root
from flows.notes import end_all
from flows.services import SECONDS_TO_END, Service, wait_until
from flows.settings import (
    DATABASE,
    DEFAULT_PORT,
    HOST,
    PASSWORD,
    POOL,
    PORT_VARIABLE,
    api_url,
    chosen_port,
    database,
    is_healthy,
    is_open,
    keep_database,
    noted_url,
    prefect_environment,
    remove_note,
    server_environment,
    server_url,
    state_folder,
    without_secrets,
    write_note,
)
from flows.status import status
from flows.stop import ends_with
from flows.temporary_server import SECONDS_TO_START, ServerError
from flows.workspace import prune
from umemma.errors import UmemmaError, run

PREFECT = (sys.executable, "-m", "prefect")
SECONDS_OF_A_START = 1.0  # that what is only just starting gets to end


def up(root: Path) -> None:
    """Start the server, worker and deployments, those that are not running."""
    server, worker = _services(root)
    url = server_url(root)
    if not (url and server.pid()) or is_open(url):
        down(root)
        url = None
    if url and worker.pid():
        print(f"Prefect is up already: {_ui(url)}")
        _tell_password(root)
        return
    try:
        url = url or _start_server(root, server)
        _start_worker(root, worker, url)
    except BaseException:  # a signal, too, after which there are seconds
        down(root, SECONDS_OF_A_START)
        raise
    print(f"Prefect is up: {_ui(url)}")
    _tell_password(root)
    print("Run:  prefect deployment run 'ume-mma/local' --watch")


def _start_server(root: Path, server: Service) -> str:
    port = chosen_port()
    url = api_url(port)
    _refuse_taken(port)
    environment = {**os.environ, **server_environment(root, url)}
    server.start([*PREFECT, "server", "start", "--host", HOST, "--port", str(port)], cwd=root, environment=environment)
    if not wait_until(lambda: is_healthy(url), server, SECONDS_TO_START):
        lines = without_secrets(server.last_lines(), database(root))
        raise ServerError(f"the Prefect server did not start; the end of {server.log}:\n{lines}")
    keep_database(root)
    write_note(root, url)
    return url


def _start_worker(root: Path, worker: Service, url: str) -> None:
    os.environ.update(prefect_environment(root, url))  # for Prefect's client in this process, too
    os.environ.pop(DATABASE, None)  # only the server needs it, no run and no stage
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    imports = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PATH": path, "PYTHONPATH": imports, "UMEMMA_HOME": str(root)}
    from flows import records

    prune(root)
    for line in records.put_in_order(root):
        print(line)
    start = datetime.now(UTC)
    worker.start([*PREFECT, "worker", "start", "--pool", POOL, "--name", "local"], cwd=root, environment=environment)
    deploy = [*PREFECT, "--no-prompt", "deploy", "--all"]
    deployed = subprocess.run(deploy, cwd=root, env=environment, capture_output=True, text=True, check=False)
    if deployed.returncode:
        raise ServerError(f"the deployments could not be made:\n{deployed.stdout}{deployed.stderr}")
    if not wait_until(lambda: records.has_worker(start), worker, SECONDS_TO_START):
        raise ServerError(f"the worker did not start; the end of {worker.log}:\n{worker.last_lines()}")


def down(root: Path, seconds: float = SECONDS_TO_END) -> bool:
    """Stop the runs, the worker, then the server, each killed after so long; return whether anything was running."""
    server, worker = _services(root)
    ended = [end_all(root, noted_url(root)) > 0, worker.stop(seconds), server.stop(seconds)]
    remove_note(root)
    return any(ended)


def _services(root: Path) -> tuple[Service, Service]:
    folder = state_folder(root)
    return Service("server", folder), Service("worker", folder)


def _ui(url: str) -> str:
    return url.removesuffix("/api")


def _tell_password(root: Path) -> None:
    print(f"The browser will ask for the password once:  cat {state_folder(root).relative_to(root) / PASSWORD}")


def _refuse_taken(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise UmemmaError(
                f"port {port} is used by another program; choose one with {PORT_VARIABLE}={DEFAULT_PORT + 10}"
            ) from error


def main() -> None:
    """Parse the action and do it."""
    parser = argparse.ArgumentParser(prog="python -m flows.server", description="The Prefect server of this project.")
    parser.add_argument("action", choices=["up", "down", "status"])
    action = parser.parse_args().action
    root = project_root(Path.cwd())
    os.environ.pop("PREFECT_API_URL", None)  # this command manages the project's own server
    if action == "up":
        with ends_with("stopped; what had been started of Prefect is ended"):
            up(root)
    elif action == "down":
        print("Prefect is down." if down(root) else "Prefect was down already.")
    else:
        sys.exit(0 if status(root, *_services(root)) else 1)


if __name__ == "__main__":
    run(main)
