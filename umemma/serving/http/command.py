"""`umemma serve MODEL`: answer requests over HTTP with an exported model, until Ctrl-C or SIGTERM.

On this machine alone unless --host says otherwise, and then only to those who know a token.
"""

import argparse
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import torch
import uvicorn
from fastapi import FastAPI

from umemma.errors import ParameterError
from umemma.parent_death import end_with_make
from umemma.serving.http import access, log
from umemma.serving.http.app import app
from umemma.serving.http.limits import Limits, option
from umemma.serving.http.log import RequestLog
from umemma.serving.http.service import Service
from umemma.serving.model import Model, load
from umemma.settings import section

_GRACE_SECONDS = 3  # for requests that are being answered when the server is told to stop
_LAST_SECONDS = 1.0


def main(arguments: Sequence[str]) -> None:
    """Read the arguments, serve, and stop within five seconds of being told to."""
    end_with_make()
    given = _arguments(arguments)
    limits = section(Limits, **{name: getattr(given, name) for name in Limits.model_fields})
    token = access.token(given.token_file)
    if token is None and not access.is_loopback(given.host):
        raise ParameterError(
            f"--host {given.host} is reached by other machines: put a token into a file, `openssl rand -hex 16 > FILE`, and "
            f"give --token-file FILE, or set {access.TOKEN}"
        )
    torch.set_num_threads(given.threads)
    with listener(given.host, given.port) as listening:
        model = load(given.model, device=given.device)
        service = Service(model, limits, _folder(given.allow), _log(given, model))
        application = app(service, token=token, hosts=access.hosts(given.host, token))
        _serve(server(application, given.host, listening), listening)
    _end()


def server(application: FastAPI, host: str, listening: socket.socket) -> uvicorn.Server:
    """Return what answers on a socket, and prints the address once it does."""
    config = uvicorn.Config(
        application,
        log_level="warning",
        access_log=False,
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    shown = f"[{host}]" if ":" in host else host
    return _Announced(config, f"http://{shown}:{listening.getsockname()[1]}")


def _serve(answering: uvicorn.Server, listening: socket.socket) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):  # once the server has stopped, it raises the signal again
        signal.signal(number, lambda *_: None)
    answering.run(sockets=[listening])
    if not answering.started:
        sys.exit(1)  # it has said why


class _Announced(uvicorn.Server):
    """A server that says where it is once it answers."""

    def __init__(self, config: uvicorn.Config, address: str) -> None:
        super().__init__(config)
        self._address = address

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup(sockets)
        if self.started:
            print(f"{self._address}  (Ctrl-C stops it)", flush=True)


def listener(host: str, port: int) -> socket.socket:
    """Take the address before the model is loaded, which takes seconds."""
    result = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        result = socket.socket(family, kind, protocol)
        result.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        result.bind(address)
    except (OSError, OverflowError) as error:
        if result is not None:
            result.close()
        raise ParameterError(
            f"{host}:{port} cannot be listened on: {error}; --port 0 takes any port that is free"
        ) from error
    return result


def _folder(allowed: Path | None) -> Path | None:
    if allowed is not None and not allowed.is_dir():
        raise ParameterError(f"--allow {allowed} is no folder")
    return allowed


def _log(given: argparse.Namespace, model: Model) -> RequestLog | None:
    if given.log is None:
        return None
    settings = section(log.Settings, **{name: getattr(given, name) for name in log.Settings.model_fields})
    return RequestLog(given.log, model, settings, keeps_media=given.log_media)


def _end() -> None:
    """Leave, even if a file is still being decoded: a thread cannot be ended, and Python would wait for it."""
    for thread in threading.enumerate():
        if thread not in (threading.main_thread(), threading.current_thread()):
            thread.join(_LAST_SECONDS)
    if threading.active_count() > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("umemma serve", description=__doc__)
    parser.add_argument("model", type=Path, help="a model folder, as a run leaves in data/export")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s: this machine alone)")
    parser.add_argument("--port", type=int, default=8000, help="(%(default)s); 0: any that is free")
    parser.add_argument(
        "--allow", type=Path, help="the folder that paths in requests are relative to; without it, none"
    )
    parser.add_argument("--token-file", type=Path, help=f"a file with the token; else that of {access.TOKEN}, if set")
    parser.add_argument("--device", choices=("cpu", "cuda", "auto"), default="cpu")
    # Two threads of a block of 16 small pictures wait for each other longer than they compute: 2 ms with one, 7 with two
    # on two busy cores. The bits are the same (`umemma.models.blocks`).
    parser.add_argument("--threads", type=int, default=1, help="of the model, more for large ones (%(default)s)")
    logging = parser.add_argument_group("log")
    logging.add_argument("--log", type=Path, help="the folder that answers are written to, for `umemma monitor`")
    logging.add_argument("--log-media", action="store_true", help="keep what was sent, too: pictures, sounds, texts")
    for group, settings in ((logging, log.Settings), (parser.add_argument_group("limits"), Limits)):
        for name, field in settings.model_fields.items():
            what = f"{field.description} (%(default)s)"
            group.add_argument(option(name), type=type(field.default), default=field.default, help=what, metavar="N")
    given = parser.parse_args(arguments)
    if given.log_media and given.log is None:
        raise ParameterError("--log-media says what a log keeps: give its folder, --log FOLDER, as well")
    return given
