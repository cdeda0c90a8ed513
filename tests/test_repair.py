"""What is damaged on disk, in DVC's cache too, is removed and made again."""

import os
import sys
from pathlib import Path

import pytest
import yaml

from flows.repair import repair
from tests.test_flows import call, committed_toy, toy  # noqa: F401

pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")  # of a library under DVC


def damage(path: Path) -> None:
    """Change a byte as a disk may: size, time and rights stay."""
    before, content = path.stat(), path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    path.chmod(before.st_mode)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_what_is_damaged_here_and_in_the_cache_is_removed_and_made_again(toy: Path) -> None:  # noqa: F811
    call(toy, "dvc", "repro", "-q")
    raw, image = toy / "data/raw.txt", toy / "data/image.txt"
    whole, lock = raw.read_bytes(), (toy / "dvc.lock").read_text()
    assert list(repair(toy)) == []
    md5 = yaml.safe_load(lock)["stages"]["prepare"]["outs"][0]["md5"]
    cached = toy / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
    damage(raw)
    if not raw.samefile(cached):
        damage(cached)
    image.unlink()
    image.write_text("changed")
    said = call(toy, sys.executable, "-m", "flows.repair")
    assert said.splitlines() == [
        "data/raw.txt, which the stage prepare makes, was damaged: removed",
        "data/image.txt, which the stage train@image makes, was damaged: removed",
        "`make run` makes it again",
    ]
    call(toy, "dvc", "repro", "-q")
    assert raw.read_bytes() == cached.read_bytes() == whole
    assert (toy / "dvc.lock").read_text() == lock
    assert list(repair(toy)) == []
