"""Prefect's settings: where its state is and which server to use.

All state is in `.prefect/` of the project: the SQLite file, logs, ids of running processes. The variables must be set
before `prefect` is imported, so nothing here imports it, and neither does `pipeline.py` before its `main`.

Anyone with access to a Prefect server can run commands on its worker's machine (a deployment's pull steps), so ours
require a password: it is in `.prefect/` and in prefect.toml, both readable only by their owner.
"""

import json
import os
import secrets
import socket
import tomllib
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from umemma.errors import ParameterError

HOST = "127.0.0.1"
POOL = "local"  # of the worker that `flows.server up` starts
PORT_VARIABLE = "UMEMMA_PREFECT_PORT"
DEFAULT_PORT = 4200
DATABASE = "PREFECT_SERVER_DATABASE_CONNECTION_URL"  # Prefect's own; without it the server keeps a SQLite file
DRIVERS = ("postgresql+asyncpg://", "sqlite+aiosqlite://")
KEPT_DATABASE = "database"  # in `.prefect/`
PASSWORD = "auth"  # of the server, "user:password"; in `.prefect/`
NOTE = "prefect.toml"  # read by Prefect from the current folder
SIGNATURE = "# Written by `python -m flows.server up`, removed by `down`."


def state_folder(root: Path) -> Path:
    """Return `.prefect/`, created if missing."""
    folder = root / ".prefect"
    (folder / "runs").mkdir(parents=True, exist_ok=True)
    return folder


def chosen_port() -> int:
    """Return the port set in the environment, or Prefect's default."""
    text = os.environ.get(PORT_VARIABLE, str(DEFAULT_PORT))
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise ParameterError(f"{PORT_VARIABLE} is {text!r}; it must be a port, 1 to 65535")
    return int(text)


def api_url(port: int) -> str:
    """Return the address of the server's API on this machine."""
    return f"http://{HOST}:{port}/api"


def password(root: Path) -> str:
    """Return the server's credentials, "user:password"; random ones are created if there are none."""
    path = state_folder(root) / PASSWORD
    if not path.exists():
        _write_private(path, f"umemma:{secrets.token_urlsafe(32)}")
    path.chmod(0o600)
    return path.read_text()


def is_healthy(url: str) -> bool:
    """Whether a Prefect API responds at `url`; no password is needed for this."""
    return _response(f"{url}/health") == b"true"


def is_open(url: str) -> bool:
    """Whether the API at `url` needs no password, as if started by an earlier version of this project."""
    return bool(_response(f"{url}/admin/version"))


def is_gone(url: str) -> bool:
    """Whether nothing listens at `url`; a server that is merely slow is there."""
    address = urllib.parse.urlsplit(url)
    try:
        socket.create_connection((address.hostname, address.port or 443), timeout=5).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return False


def server_url(root: Path) -> str | None:
    """Return the API of a running server: the one in the environment, or the one that `flows.server up` started.

    The note of a server that no longer responds is removed: Prefect itself would read it and fail.
    """
    if url := os.environ.get("PREFECT_API_URL"):
        return url
    url = noted_url(root)
    if url and not is_healthy(url):
        remove_note(root)
        return None
    return url


def noted_url(root: Path) -> str | None:
    """Return the address of the server that `flows.server up` has started, whether it responds or not."""
    try:
        return str(tomllib.loads((root / NOTE).read_text())["api"]["url"])
    except (FileNotFoundError, tomllib.TOMLDecodeError, KeyError):
        return None


def write_note(root: Path, url: str) -> None:
    """Write server and password for every `prefect` command that is typed in the project's root."""
    home, auth = json.dumps(str(state_folder(root) / "home")), json.dumps(password(root))
    _write_private(root / NOTE, f'{SIGNATURE}\nhome = {home}\n\n[api]\nurl = "{url}"\nauth_string = {auth}\n')


def remove_note(root: Path) -> None:
    """Remove the note, if we wrote it."""
    note = root / NOTE
    if note.is_file() and note.read_text().startswith(SIGNATURE):
        note.unlink()


def prefect_environment(root: Path, url: str) -> dict[str, str]:
    """Return the variables for any process that uses Prefect with this server.

    A worker polls every two seconds (else up to 15). The server streams logs, or `--watch` would show states alone. Web
    pages of other origins may not read its responses. A foreign server, set in the user's environment, is not sent our
    password.
    """
    settings = {
        "PREFECT_HOME": str(state_folder(root) / "home"),
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_LOGS_STREAM_OUT_ENABLED": "true",
        "PREFECT_SERVER_LOGS_STREAM_PUBLISHING_ENABLED": "true",
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
        "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "false",
        "DO_NOT_TRACK": "true",
        "DVC_NO_ANALYTICS": "1",
        "NO_PROXY": ",".join(filter(None, [os.environ.get("NO_PROXY"), HOST, "localhost"])),
    }
    if url != os.environ.get("PREFECT_API_URL") or url == noted_url(root):
        auth = password(root)
        settings |= {
            "PREFECT_API_AUTH_STRING": auth,
            "PREFECT_SERVER_API_AUTH_STRING": auth,
            "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": url.removesuffix("/api"),
        }
    return {**settings, "PREFECT_API_URL": url}


def server_environment(root: Path, url: str) -> dict[str, str]:
    """Return the variables for the server itself, which alone is given the database's address."""
    address = database(root)
    return {**prefect_environment(root, url), **({DATABASE: address} if address else {})}


def database(root: Path) -> str | None:
    """Return the address of the user's own database, None for SQLite: the one in the environment, else the kept one."""
    kept = root / ".prefect" / KEPT_DATABASE
    address = os.environ.get(DATABASE) or (kept.read_text().strip() if kept.is_file() else None)
    if address and not address.startswith(DRIVERS):
        raise ParameterError(
            f"{DATABASE} must start with {' or '.join(DRIVERS)} (its value holds a password: not shown)"
        )
    return address


def keep_database(root: Path) -> None:
    """Keep the address that is in the environment, readable only by its owner, for every later command."""
    if address := database(root):
        _write_private(state_folder(root) / KEPT_DATABASE, address)


def without_secrets(text: str, address: str | None) -> str:
    """Return text without the password of the database, should it be in there."""
    secret = urllib.parse.urlsplit(address or "").password
    for form in filter(None, [secret, urllib.parse.unquote(secret or "")]):
        text = text.replace(form, "***")
    return text


def _response(url: str) -> bytes | None:
    """Return the body of a successful response, requested without proxy or password within five seconds."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=5) as response:
            return bytes(response.read().strip())
    except urllib.error.HTTPError as error:
        error.close()
        return None
    except (urllib.error.URLError, OSError, ValueError):
        return None


def _write_private(path: Path, text: str) -> None:
    """Write a file that is readable only by its owner, at any time."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    temporary.unlink(missing_ok=True)
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    os.replace(temporary, path)
