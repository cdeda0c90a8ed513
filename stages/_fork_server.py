"""One process that has imported the libraries, and becomes a stage as often as one is asked for: a fork takes 0.1 s.

Half of a small run's time is imports, the same in each of its stages. `python -m stages._fork_server SOCKET` imports them
once, while the first stages run, which need few; with that path in `$UMEMMA_FORK_SERVER`, `python -m stages.NAME`
(stages/_forked.py) asks for a copy of this process, which then imports the stage's own code from the asking process's
folder, with its environment, arguments and streams. The code is always that of the folder, and results are the same bytes.

Nothing is computed here, as threads do not outlive a fork. The copy dies with this process and with the one that asked,
and its exit status is passed on. `ps` and `top` show it by the stage's name.
"""

import atexit
import ctypes
import json
import os
import runpy
import select
import signal
import socket
import sys
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import NoReturn

from stages._forked import LENGTH_BYTES, STATUS_BYTES
from umemma.parent_death import end_with_parent

LIBRARIES = (
    "pandas",
    "pyarrow.parquet",
    "pydantic",
    "ruamel.yaml",
    "torch",
    "safetensors.torch",
    "tqdm",
    "webdataset",
    "scipy.sparse",
    "sklearn.linear_model",
    "xgboost",
    "mlflow",
)  # those that the first stages need come first
OWN = ("stages", "umemma")  # packages of the project, whose code may differ from folder to folder
_PR_SET_NAME = 15  # linux/prctl.h


def serve(address: str, libraries: Sequence[str] = LIBRARIES) -> NoReturn:
    """Answer at `address`, a path, until this process is ended.

    The libraries are imported from the first question on, one after another between the answers: a run in which no
    stage is stale needs none.
    """
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen()
        left, asked = deque(libraries), False
        running: dict[int, tuple[int, socket.socket]] = {}  # {descriptor of a process: its id, who waits for it}
        while True:
            ready, _, _ = select.select([listening.fileno(), *running], [], [], 0 if asked and left else None)
            if not ready:
                with suppress(ImportError):
                    import_module(left.popleft())
            asked = True
            for descriptor in ready:
                if descriptor in running:
                    _pass_on(descriptor, *running.pop(descriptor))
                else:
                    connection, _ = listening.accept()
                    process = os.fork() or _become_stage(connection)
                    running[os.pidfd_open(process)] = process, connection


def _pass_on(descriptor: int, process: int, connection: socket.socket) -> None:
    """Send the exit status of a process that has ended; that of a signal is negative."""
    os.close(descriptor)
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    with connection, suppress(OSError):  # who asked may have been killed
        connection.sendall(status.to_bytes(STATUS_BYTES, "big", signed=True))


def _become_stage(connection: socket.socket) -> NoReturn:
    """Run the stage that is asked for, in this copy of the process, and end as a process of its own would."""
    os.setsid()
    end_with_parent()
    length, streams, _, _ = socket.recv_fds(connection, LENGTH_BYTES, 3, socket.MSG_WAITALL)
    request = json.loads(connection.recv(int.from_bytes(length, "big"), socket.MSG_WAITALL))
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    threading.Thread(target=_die_with, args=(connection,), daemon=True).start()
    name = request["environment"].get("DVC_STAGE") or request["module"]
    ctypes.CDLL(None).prctl(_PR_SET_NAME, name.encode())  # its first 15 bytes
    _end(_run(request["module"], request["arguments"], request["folder"], request["environment"]))


def _end(status: int) -> NoReturn:
    """End as the interpreter does, but leave the memory to the system: to free what the copies share would take a second."""
    threading._shutdown()  # type: ignore[attr-defined]  # as multiprocessing does in its copies
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # a pipe that nobody reads any more
            stream.flush()
    os._exit(status & 0xFF)


def _die_with(connection: socket.socket) -> None:
    """Kill this process and those it has started, once the one that asked is gone: it sends nothing more."""
    connection.recv(1)
    os.killpg(0, signal.SIGKILL)


def _run(module: str, arguments: Sequence[str], folder: str, environment: dict[str, str]) -> int:
    """Run a module as `python -m` does; return its exit status."""
    for name in [name for name in sys.modules if name.partition(".")[0] in OWN]:
        del sys.modules[name]
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.path.insert(0, folder)
    sys.argv = ["-m", *arguments]
    try:
        import_module(module.partition(".")[0])
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # as the interpreter does: the trace, and 1
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


if __name__ == "__main__":
    serve(sys.argv[1])
