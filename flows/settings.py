"""What Prefect is told: where its state lies and which server to use.

Everything lies in `.prefect/` of the project: the SQLite file, logs, the numbers of running processes. The variables
must be set before `prefect` is imported, so nothing here imports it, and neither does `pipeline.py` before its `main`.
"""

import json
import os
import tomllib
import urllib.error
import urllib.request
from pathlib import Path

from umemma.errors import ParameterError

HOST = "127.0.0.1"
PORT_VARIABLE = "UMEMMA_PREFECT_PORT"
DEFAULT_PORT = 4200
GPU_LIMIT = "gpu"
NOTE = "prefect.toml"  # read by Prefect from the current folder
SIGNATURE = "# Written by `python -m flows.server up`, removed by `down`."


def state_folder(root: Path) -> Path:
    """Return `.prefect/`, made if it is missing."""
    folder = root / ".prefect"
    (folder / "runs").mkdir(parents=True, exist_ok=True)
    return folder


def chosen_port() -> int:
    """Return the port that the environment asks for, or Prefect's own."""
    text = os.environ.get(PORT_VARIABLE, str(DEFAULT_PORT))
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise ParameterError(f"{PORT_VARIABLE} is {text!r}; it must be a port, 1 to 65535")
    return int(text)


def api_url(port: int) -> str:
    """Return the address of the server's API on this machine."""
    return f"http://{HOST}:{port}/api"


def is_healthy(url: str) -> bool:
    """Whether a Prefect API answers at `url`, asked without any proxy and within five seconds."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{url}/health", timeout=5) as answer:
            return bool(answer.read().strip() == b"true")
    except (urllib.error.URLError, OSError, ValueError):
        return False


def server_url(root: Path) -> str | None:
    """Return the API of a server that is up: the one the environment names, or the one `flows.server up` started.

    The note of a server that no longer answers is removed: Prefect itself would read it and fail.
    """
    if url := os.environ.get("PREFECT_API_URL"):
        return url
    note = root / NOTE
    try:
        url = str(tomllib.loads(note.read_text())["api"]["url"])
    except (FileNotFoundError, tomllib.TOMLDecodeError, KeyError):
        return None
    if is_healthy(url):
        return url
    remove_note(root)
    return None


def write_note(root: Path, url: str) -> None:
    """Tell every `prefect` command that is typed in the project's root which server it is to use."""
    home = json.dumps(str(state_folder(root) / "home"))
    (root / NOTE).write_text(f'{SIGNATURE}\nhome = {home}\n\n[api]\nurl = "{url}"\n')


def remove_note(root: Path) -> None:
    """Remove the note, if it is one of ours."""
    note = root / NOTE
    if note.is_file() and note.read_text().startswith(SIGNATURE):
        note.unlink()


def prefect_environment(root: Path, url: str | None) -> dict[str, str]:
    """Return the variables for any process that uses Prefect; without a `url` Prefect starts a server for one run.

    Leases in a file outlive a killed server; a waiting GPU stage looks every second (else up to 30), a worker every
    two.
    """
    settings = {
        "PREFECT_HOME": str(state_folder(root) / "home"),
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        "PREFECT_SERVER_CONCURRENCY_MAXIMUM_CONCURRENCY_SLOT_WAIT_SECONDS": "1",
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "true",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "false",
        "DO_NOT_TRACK": "true",
        "DVC_NO_ANALYTICS": "1",
        "NO_PROXY": ",".join(filter(None, [os.environ.get("NO_PROXY"), HOST, "localhost"])),
    }
    return {**settings, "PREFECT_API_URL": url} if url else settings
