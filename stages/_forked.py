"""Asking the server of copies (stages/_fork_server.py) to run this process's stage. Imports nothing but the standard library."""

import json
import os
import socket
import sys

VARIABLE = "UMEMMA_FORK_SERVER"
LENGTH_BYTES, STATUS_BYTES = 4, 4  # of a request, and of what it is answered with


def run_there() -> None:
    """Let the server at `$UMEMMA_FORK_SERVER` run this stage, and end with its exit status.

    Returns at once where none is named or it is gone: then the stage runs here.
    """
    address = os.environ.pop(VARIABLE, None)
    if address is None:
        return
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(address)
        except OSError:
            return
        module, *arguments = sys.orig_argv[sys.orig_argv.index("-m") + 1 :]
        request = {"module": module, "arguments": arguments, "folder": os.getcwd(), "environment": dict(os.environ)}
        content = json.dumps(request).encode()
        try:
            socket.send_fds(connection, [len(content).to_bytes(LENGTH_BYTES, "big")], [0, 1, 2])
            connection.sendall(content)
            answer = connection.recv(STATUS_BYTES, socket.MSG_WAITALL)
        except OSError:
            answer = b""
    if len(answer) < STATUS_BYTES:
        print(f"ERROR: the process that ran {module} is gone, and its server too", file=sys.stderr)
        sys.exit(1)
    status = int.from_bytes(answer, "big", signed=True)
    sys.exit(status if status >= 0 else 128 - status)  # of a signal, as a shell says it
