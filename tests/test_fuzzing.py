"""What fuzzing once found is read again: a reader returns, or raises one of the project's errors."""

import time
from functools import cache
from pathlib import Path

import pytest

from tests.fuzzing.targets import TARGETS, Target, checked
from umemma.media.kinds import container

FOUND = Path(__file__).parent / "fuzzing/found"
CASES = sorted(FOUND.glob("*/*"))


@cache
def target(reader: str) -> Target:
    return TARGETS[reader]()


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_what_was_found_is_an_error_of_the_projects_own(path):
    checked(target(path.parent.name.replace("_", " ")), path.read_bytes())


@pytest.mark.parametrize("reader", [name for name in TARGETS if name != "xlsx"])
def test_a_file_that_fuzzing_starts_from_is_read(reader):
    for seed in target(reader).seeds():
        checked(target(reader), seed)
        checked(target(reader), seed[: len(seed) // 2])


def test_the_files_that_fuzzing_starts_from_are_the_same_at_any_time():
    first = {reader: target(reader).seeds() for reader in TARGETS}
    time.sleep(2.1)  # ZIP counts time in steps of two seconds
    assert [reader for reader in TARGETS if target(reader).seeds() != first[reader]] == []


@pytest.mark.parametrize("reader", ["sound", "video"])
def test_the_length_that_a_file_says_it_has_is_looked_for_wherever_the_file_ends(reader):
    for seed in target(reader).seeds():
        assert not container.cut_short(seed)
        for end in range(min(len(seed), 4096)):
            container.cut_short(seed[:end])
