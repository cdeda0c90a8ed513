"""kill -9 at random moments of a run, then the same command: the same bytes, and nothing is left. More: tests/kills.py."""

import random
import shutil
import sys
import time
from pathlib import Path

import pytest

from tests.kills import Command, killed, made
from tests.test_flows import committed_toy, set_params, toy  # noqa: F401

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")]

RUN = (sys.executable, "-m", "flows.turn", "repro")


def test_a_run_that_is_killed_again_and_again_ends_in_the_same_bytes_and_leaves_nothing(
    toy: Path,  # noqa: F811
) -> None:
    set_params(toy, "fuse", seconds=1)
    undisturbed = toy.with_name("undisturbed")
    shutil.copytree(toy, undisturbed)
    start = time.monotonic()
    assert Command(RUN, undisturbed).complete() == 0
    kills = list(killed(RUN, toy, random.Random(1), within=time.monotonic() - start, most=6))
    assert kills
    assert made(toy) == made(undisturbed)
    assert [kill for kill in kills if kill.left] == []
    assert all(kill.ended_s is None or kill.ended_s < 10 for kill in kills)
