"""Ctrl-C and SIGTERM: one line and the signal's exit code, even where cleaning up hangs or fails."""

import signal
import socket
import subprocess
import sys
import time

import pytest

from flows.settings import api_url, is_gone
from flows.stop import SECONDS_TO_END
from tests.test_flows import environment

PROGRAM = """
import time
from flows.stop import Stopped, ends_with
with ends_with("stopped"):
    print("begun", flush=True)
    try:
        time.sleep(60)
    finally:
        {cleanup}
"""


@pytest.mark.parametrize("cleanup", ["pass", "raise ValueError", "time.sleep(60)"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_process_soon_with_one_line(number: signal.Signals, cleanup: str) -> None:
    program = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)" + PROGRAM.format(
        cleanup=cleanup
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], env=environment(), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        start = time.monotonic()
        process.send_signal(number)
        assert process.wait(30) == 128 + number
        assert time.monotonic() - start < SECONDS_TO_END + 4
        assert process.stdout.read() == "stopped\n"


def test_a_server_that_does_not_answer_is_there_and_one_that_nobody_listens_for_is_gone() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = api_url(silent.getsockname()[1])
        assert not is_gone(url)
    assert is_gone(url)
