"""Taking turns: who waits is told for whom, and nobody waits for a process that is gone."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import yaml

from flows.dvc_records import mend
from flows.turn import Turn, wait_for_dvc, workspace
from tests.test_flows import STEP, call, committed_toy, environment, set_params, toy, wait_for  # noqa: F401

HOLD = """
import sys, time
from pathlib import Path
from flows.dvc_records import mend
from flows.turn import Turn
with Turn(Path(sys.argv[1])).taken("the other", print):
    print("held", flush=True)
    time.sleep(60)
"""


@contextmanager
def held(turn: Turn) -> Iterator[subprocess.Popen[str]]:
    """Hold the turn in another process."""
    command = [sys.executable, "-c", HOLD, str(turn.file)]
    with subprocess.Popen(command, env=environment(), text=True, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        try:
            yield other
        finally:
            other.kill()


def test_who_waits_is_told_for_whom_and_goes_on_when_the_other_is_killed(tmp_path: Path) -> None:
    turn = Turn(tmp_path / "a" / "turn")
    said: list[str] = []
    with held(turn) as other:

        def kill_soon() -> None:
            time.sleep(0.05)
            other.kill()

        with turn.taken("we", said.append, kill_soon):
            holder = turn.holder()
    assert len(said) == 1
    assert re.fullmatch(rf"waiting for the other \(process {other.pid}, since \d\d:\d\d:\d\d\)", said[0])
    assert holder is not None
    assert holder.startswith(f"we (process {os.getpid()}, since ")
    assert turn.holder() is None


def test_a_turn_that_nobody_ever_took_is_free(tmp_path: Path) -> None:
    assert Turn(tmp_path / "turn").holder() is None
    assert not list(tmp_path.iterdir())


class Enough(Exception):
    """Raised instead of waiting on."""


def pause() -> None:
    raise Enough


def record(root: Path, **cmd_of: int) -> Path:
    """Write DVC's record of the processes that run a stage."""
    file = root / ".dvc" / "tmp" / "rwlock"
    file.parent.mkdir(parents=True, exist_ok=True)
    by = [{"pid": pid, "cmd": f"dvc {name}"} for name, pid in cmd_of.items()]
    file.write_text(json.dumps({"write": {"data/a": by[0]}, "read": {"data/b": by[1:]}}))
    return file


def test_a_dvc_that_somebody_typed_is_waited_for_and_our_own_is_not(tmp_path: Path) -> None:
    said: list[str] = []
    record(tmp_path, repro=os.getpid(), status=os.getppid())
    with pytest.raises(Enough):
        wait_for_dvc(tmp_path, said.append, pause, own={os.getppid()})
    assert said == [f"waiting for dvc repro (process {os.getpid()})"]
    wait_for_dvc(tmp_path, said.append, pause, own={os.getpid(), os.getppid()})


def test_a_dvc_that_is_gone_is_not_waited_for_even_if_its_id_has_been_given_to_another(tmp_path: Path) -> None:
    file = record(tmp_path, repro=os.getpid())
    before = psutil.Process().create_time() - 60
    os.utime(file, (before, before))
    wait_for_dvc(tmp_path, print, pause)
    assert not file.exists()  # or DVC itself would refuse to work
    wait_for_dvc(tmp_path, print, pause)


def test_dvc_in_turn_waits_for_the_other_and_for_a_dvc_that_was_typed(toy: Path) -> None:  # noqa: F811
    set_params(toy, "fuse", seconds=4)
    typed = subprocess.Popen(["dvc", "repro", "-q"], cwd=toy, env=environment())
    stage = wait_for(toy / ".dvc" / "tmp" / "pid")
    with held(workspace(toy)):
        second = subprocess.Popen(
            [sys.executable, "-m", "flows.turn", "repro"], cwd=toy, env=environment(), text=True, stdout=subprocess.PIPE
        )
        assert second.stdout is not None
        assert second.stdout.readline().startswith("waiting for the other (process ")
    said = second.stdout.readline()
    assert re.fullmatch(rf"waiting for \S*dvc repro -q \(process {typed.pid}\)\n", said), said
    said, _ = second.communicate(timeout=60)
    assert (typed.wait(1), second.returncode) == (0, 0), said
    assert "Data and pipelines are up to date" in said
    assert not psutil.pid_exists(int(stage))


@pytest.mark.parametrize("victim", ["make", "turn", "dvc", "stage"])
def test_whatever_is_killed_the_others_end_and_the_turn_is_free(toy: Path, victim: str) -> None:  # noqa: F811
    set_params(toy, "fuse", seconds=60)
    make = subprocess.Popen(  # as in the Makefile; `; true`, or the shell would become the program
        ["sh", "-c", f"UMEMMA_MAKE=$$ {sys.executable} -m flows.turn repro -q; true"],
        cwd=toy,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    stage = psutil.Process(int(wait_for(toy / ".dvc" / "tmp" / "pid")))
    (turn,) = psutil.Process(make.pid).children()
    dvc, server = sorted(turn.children(), key=lambda process: "stages._fork_server" in process.cmdline())
    holder = workspace(toy).holder()
    assert holder is not None
    assert holder.startswith(f"dvc repro -q (process {turn.pid}, since ")
    {"make": psutil.Process(make.pid), "turn": turn, "dvc": dvc, "stage": stage}[victim].kill()
    make.wait(20)
    assert not psutil.wait_procs([turn, dvc, stage, server], timeout=20)[1]
    assert workspace(toy).holder() is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_dvc_in_turn_soon_with_one_line(toy: Path, number: signal.Signals) -> None:  # noqa: F811
    set_params(toy, "fuse", seconds=60)
    command = [sys.executable, "-m", "flows.turn", "repro", "-q"]
    turn = subprocess.Popen(command, cwd=toy, env=environment(), text=True, stderr=subprocess.PIPE)
    stage = psutil.Process(int(wait_for(toy / ".dvc" / "tmp" / "pid")))
    turn.send_signal(number)
    _, said = turn.communicate(timeout=10)
    assert (turn.returncode, said) == (
        128 + number,
        "stopped; finished stages are kept, and the same command goes on from there\n",
    )
    assert not psutil.wait_procs([stage], timeout=5)[1]


def cuts(text: str) -> list[int]:
    """Return where a kill can cut off a file: at its beginning, in a stage, at the end of a line, before the last one."""
    return [0, 3, text.index("    outs:\n") + 10, len(text) * 2 // 3, len(text) - 1]


def test_what_dvc_was_killed_writing_is_mended_and_nothing_runs_again(toy: Path) -> None:  # noqa: F811
    call(toy, "dvc", "repro", "-q")
    lock, said = toy / "dvc.lock", list[str]()
    whole = lock.read_text()
    mend(toy, said.append)
    assert not said
    assert lock.read_text() == whole
    (toy / ".dvc" / "tmp" / "rwlock").write_text('{"write": {"a')
    for cut in cuts(whole):
        lock.write_text(whole[:cut])
        mend(toy, said.append)
        if lock.exists():
            assert set(yaml.safe_load(lock.read_text())["stages"]) < set(yaml.safe_load(whole)["stages"])
    assert said[0] == ".dvc/tmp/rwlock was cut off by a kill: removed"
    assert len(said) == 1 + len(cuts(whole))
    lock.write_text(whole[: len(whole) // 2])
    (toy / ".dvc" / "tmp" / "tries").unlink()
    said_again = call(toy, sys.executable, "-m", "flows.turn", "repro")
    assert "dvc.lock was cut off by a kill" in said_again
    assert not (toy / ".dvc" / "tmp" / "tries").exists(), "the stage `fuse` ran again"
    assert yaml.safe_load(lock.read_text()) == yaml.safe_load(whole)
