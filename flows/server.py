"""The Prefect server of this project: `python -m flows.server up|down|status`.

`up` starts a server (SQLite, this machine only, with a password), a process work pool with a worker, the limit of one
GPU stage at a time and the deployment of prefect.yaml, waits until they respond and returns. All state is in
`.prefect/`; the file prefect.toml in the root points every `prefect` command typed there to this server.

The server and worker are Prefect's own commands; pool and limit are created by its client, because each further
`prefect` command takes two to three seconds to import.
"""

import argparse
import os
import socket
import subprocess
import sys
from pathlib import Path

from flows.graph import project_root
from flows.notes import end_all
from flows.services import Service, wait_until
from flows.settings import (
    DEFAULT_PORT,
    HOST,
    PASSWORD,
    PORT_VARIABLE,
    api_url,
    chosen_port,
    is_healthy,
    is_open,
    prefect_environment,
    remove_note,
    server_url,
    state_folder,
    write_note,
)
from umemma.errors import UmemmaError, run

POOL = "local"
SECONDS_TO_START = 120.0


class ServerError(UmemmaError):
    """The server, the worker or the deployment did not come up; the message holds the end of its log."""

    exit_code = 1


def up(root: Path) -> None:
    """Start the server, worker and deployment, unless they run."""
    server, worker = _services(root)
    url = server_url(root)
    if url and server.pid() and worker.pid() and not is_open(url):
        print(f"Prefect is up already: {_ui(url)}")
        _tell_password(root)
        return
    down(root)
    port = chosen_port()
    url = api_url(port)
    _refuse_taken(port)
    settings = prefect_environment(root, url)
    os.environ.update(settings)  # for Prefect's client in this process, too
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    imports = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PATH": path, "PYTHONPATH": imports, "UMEMMA_HOME": str(root)}
    prefect = [sys.executable, "-m", "prefect"]
    try:
        server.start(
            [*prefect, "server", "start", "--host", HOST, "--port", str(port)], cwd=root, environment=environment
        )
        if not wait_until(lambda: is_healthy(url), server, SECONDS_TO_START):
            raise ServerError(f"the Prefect server did not start; the end of {server.log}:\n{server.last_lines()}")
        from flows import records

        records.put_in_order(root, POOL)
        worker.start(
            [*prefect, "worker", "start", "--pool", POOL, "--name", "local"], cwd=root, environment=environment
        )
        deployed = subprocess.run(
            [*prefect, "--no-prompt", "deploy", "--all"],
            cwd=root,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if deployed.returncode:
            raise ServerError(f"the deployment could not be made:\n{deployed.stdout}{deployed.stderr}")
        if not wait_until(lambda: records.has_worker(POOL), worker, SECONDS_TO_START):
            raise ServerError(f"the worker did not start; the end of {worker.log}:\n{worker.last_lines()}")
    except BaseException:
        down(root)
        raise
    write_note(root, url)
    print(f"Prefect is up: {_ui(url)}")
    _tell_password(root)
    print("Run:  prefect deployment run 'ume-mma/local' --watch")


def down(root: Path) -> bool:
    """Stop the runs, the worker, then the server; return whether anything was running."""
    server, worker = _services(root)
    ended = [end_all(root) > 0, worker.stop(), server.stop()]
    remove_note(root)
    return any(ended)


def status(root: Path) -> None:
    """Print what is running; exit with 1 unless all of it is."""
    url = server_url(root)
    pids = {service.name: service.pid() for service in _services(root)}
    for name, pid in pids.items():
        print(f"{name:<8} {f'runs as process {pid}' if pid else 'is down'}")
    print(f"{'API':<8} {f'answers: {_ui(url)}' if url else 'does not answer'}")
    if not (url and all(pids.values())):
        sys.exit(1)


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
        up(root)
    elif action == "down":
        print("Prefect is down." if down(root) else "Prefect was down already.")
    else:
        status(root)


if __name__ == "__main__":
    run(main)
