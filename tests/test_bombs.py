"""Files that ask for far more than they are get one sentence, soon, and no more memory than reading needs."""

import os
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from tests import bombs
from tests.conftest import ROOT
from umemma import limits
from umemma.composition import default_limits
from umemma.errors import OverLimit

SLOW_TO_MAKE = ("parquet: ", "mat: ")


@pytest.mark.parametrize("name", [name for name in bombs.BOMBS if not name.startswith(SLOW_TO_MAKE)])
def test_a_bomb_gets_a_sentence_that_names_the_limit(name, tmp_path):
    path = bombs.make(name, tmp_path)
    start = time.process_time()
    says = bombs.read(name, path)
    assert bombs.BOMBS[name].says in says
    assert not says.startswith("read: ")
    assert time.process_time() - start < bombs.MOST_SECONDS
    assert len(says) < 500


@pytest.mark.slow
@pytest.mark.parametrize("name", bombs.BOMBS)
def test_a_bomb_takes_ten_seconds_and_a_gigabyte_and_a_half_at_most(name, tmp_path):
    taken = bombs.taken(name, bombs.make(name, tmp_path))
    assert bombs.BOMBS[name].says in taken.says
    assert not taken.says.startswith("read: ")
    assert taken.seconds < bombs.MOST_SECONDS
    assert taken.mib < bombs.MOST_MIB


def test_what_is_read_by_default_is_what_conf_says():
    assert default_limits(ROOT / "conf") == limits.Limits()


def test_limits_hold_inside_of_a_with_and_are_carried_to_other_processes():
    with limits.within(limits.Limits(depth=1)):
        assert limits.current().depth == 1
        with pytest.raises(OverLimit, match=r"over limits\.depth: x has 2 levels, at most 1 are read"):
            limits.check_depth([[[]]], "x")
        carried = limits.Carried(limits.current)
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        assert pool.submit(carried).result().depth == 1
    assert limits.current() == limits.Limits()


def test_a_file_is_refused_by_its_size_before_it_is_read(tmp_path):
    with (tmp_path / "a").open("wb") as file:
        os.truncate(file.fileno(), 2**33)
    with pytest.raises(OverLimit, match=r"`limits: \{file_mib: 8192\}` in the data set's file accepts it"):
        limits.content(tmp_path / "a")


def test_no_line_is_offered_for_what_no_machine_could_take():
    with pytest.raises(OverLimit, match="no machine could take it"):
        limits.check("pixels", 10**30, "the image")
