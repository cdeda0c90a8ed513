"""The server of copies: a stage that a copy runs is as a process of its own, and nothing outlives whoever asked."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from flows.fork_server import fork_server
from stages._forked import VARIABLE
from tests.conftest import ROOT

SERVER = "from stages._fork_server import serve; import sys; serve(sys.argv[1], ['decimal', 'no_such_library'])"
SAYS = """
import os, sys
from stages import word
print(word, os.getcwd(), sys.argv[1:], os.environ["SAID"], __name__)
print("to stderr", file=sys.stderr)
"""
ENDS = {
    "well": "",
    "with a status": "sys.exit(3)",
    "with what is still to do": "import atexit, threading\natexit.register(print, 'at exit')\n"
    "threading.Timer(0.3, lambda: print('a thread')).start()",
    "with a sentence": "sys.exit('all is lost')",
    "with an error": "{}['missing']",
    "by a signal": "sys.stdout.flush(); os.kill(os.getpid(), 9)",
}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", SERVER, str(tmp_path / "s")], cwd=ROOT)
    yield process
    process.kill()
    process.wait()


def project(folder: Path, code: str, word: str = "word") -> Path:
    """Make a project with one stage, `probe`."""
    (folder / "stages").mkdir(parents=True)
    for name in ("__init__", "_forked"):
        shutil.copy(ROOT / f"stages/{name}.py", folder / "stages")
    with (folder / "stages/__init__.py").open("a") as file:
        file.write(f"\nword = {word!r}\n")
    (folder / "stages/probe.py").write_text(code)
    return folder


def start(folder: Path, address: Path | None, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "SAID": "yes"} | ({VARIABLE: str(address)} if address else {})
    command = [sys.executable, "-m", "stages.probe", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=pipe, stderr=pipe, text=True)


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} was never made"
        time.sleep(0.02)


@pytest.mark.parametrize("how", ENDS)
def test_a_copy_does_what_a_process_of_its_own_does(how, server, tmp_path):
    folder = project(tmp_path / "project", SAYS + ENDS[how])
    wait_for(tmp_path / "s")
    answers = []
    for address in (None, tmp_path / "s"):
        process = start(folder, address, "two", "words")
        out, err = process.communicate(timeout=30)
        status = 128 - process.returncode if process.returncode < 0 else process.returncode
        answers.append((status, out, err.splitlines()[0], err.splitlines()[-1]))
    assert answers[0] == answers[1]
    at_the_end = "a thread\nat exit\n" if how == "with what is still to do" else ""
    assert answers[1][1] == f"word {folder} ['two', 'words'] yes __main__\n{at_the_end}"


def test_the_code_is_that_of_the_folder_which_asks_and_the_libraries_are_there(server, tmp_path):
    code = "import sys\nprint('decimal' in sys.modules)" + SAYS
    folders = [project(tmp_path / word, code, word) for word in ("one", "two")]
    wait_for(tmp_path / "s")
    first = start(folders[0], tmp_path / "s").communicate(timeout=30)[0]
    assert first.startswith("False"), "whoever asks first does not wait for libraries"
    time.sleep(1)
    for folder in folders:
        there, said = start(folder, tmp_path / "s").communicate(timeout=30)[0].splitlines()
        assert (there, said.split()[0]) == ("True", folder.name)


def without(*_):
    raise OSError(errno.ENOSYS, "Function not implemented")


def test_where_the_kernel_cannot_there_is_no_server(monkeypatch):
    with fork_server(ROOT) as server:
        assert server is not None
        assert Path(server.environment[VARIABLE]).name == "stages"
    monkeypatch.setattr(os, "pidfd_open", without)
    with fork_server(ROOT) as server:
        assert server is None


def test_without_a_server_the_stage_runs_here(tmp_path):
    out, _ = start(project(tmp_path / "project", SAYS), tmp_path / "nobody").communicate(timeout=30)
    assert out.startswith("word")


@pytest.mark.parametrize("victim", ["who asked", "the server"])
def test_a_copy_outlives_neither_who_asked_nor_the_server(victim, server, tmp_path):
    code = "import os, time\nopen('part', 'w').write(str(os.getpid()))\nos.rename('part', 'pid')\ntime.sleep(600)"
    folder = project(tmp_path / "project", code)
    wait_for(tmp_path / "s")
    asking = start(folder, tmp_path / "s")
    wait_for(folder / "pid")
    copy = psutil.Process(int((folder / "pid").read_text()))
    assert copy.pid != asking.pid
    os.kill(asking.pid if victim == "who asked" else server.pid, signal.SIGKILL)
    copy.wait(10)
    _, err = asking.communicate(timeout=30)
    assert asking.returncode == (-signal.SIGKILL if victim == "who asked" else 1)
    assert ("server" in err) == (victim == "the server")
