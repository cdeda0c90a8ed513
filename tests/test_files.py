"""Writing whole files, and what is said where a disk or its rights do not let us."""

import errno
import os
import subprocess
import sys

import pytest
import torch
from safetensors import SafetensorError

from umemma import errors
from umemma.errors import DataError
from umemma.files import reserve, written_whole
from umemma.models import safetensors


def test_what_a_killed_writer_has_left_is_removed_by_the_next_and_that_of_a_living_one_is_not(tmp_path):
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        pass
    killed, alive = (tmp_path / f".out.{pid}.part" for pid in (gone.pid, os.getppid()))
    for part in (killed, alive):
        part.mkdir()
        (part / "half").touch()
    other = tmp_path / ".out.json.1.part"
    other.touch()
    with written_whole(tmp_path / "out") as temporary:
        temporary.write_text("whole")
    assert not killed.exists()
    assert alive.exists()
    assert other.exists()
    assert (tmp_path / "out").read_text() == "whole"


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device", "data/x"),
            "data/x: No space left on device. Make room there",
        ),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "Disk quota exceeded. Make room there"),
        (PermissionError(errno.EACCES, "Permission denied", "a"), "a: Permission denied: this user must be able to"),
        (OSError(errno.EROFS, "Read-only file system", "a"), "a: Read-only file system: this user must be able to"),
        (OSError(errno.ENOLCK, "No locks available"), "No locks available: the file system knows no locks"),
        (
            FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']"),
            "No usable temporary directory found in ['/tmp']: make room in one of them, or name another folder in TMPDIR",
        ),
    ],
)
def test_a_disk_that_does_not_let_us_is_one_line_that_says_what_to_do(capsys, error, sentence):
    def main():
        raise error

    with pytest.raises(SystemExit) as ended:
        errors.run(main)
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert said.startswith(f"ERROR: {sentence}")
    assert said.count("\n") == 1


def test_another_error_of_the_system_is_a_bug_and_ctrl_c_is_one_line(capsys):
    def broken():
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", "a")

    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(FileNotFoundError):
        errors.run(broken)
    with pytest.raises(SystemExit) as ended:
        errors.run(interrupted)
    assert (ended.value.code, capsys.readouterr().err) == (130, "stopped\n")


def test_weights_on_a_full_disk_are_an_error_of_the_disk(tmp_path, monkeypatch):
    def full(*_):
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(safetensors, "save_file", full)
    with pytest.raises(DataError, match=r"the disk is full: .*weights"):
        safetensors.write(tmp_path / "weights", {"a": torch.zeros(1)}, {})


def test_space_for_a_sparse_file_is_taken_at_once(tmp_path):
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(10_000_000)
    before = path.stat().st_blocks
    reserve(path)
    assert path.stat().st_blocks > before
    assert path.stat().st_size == 10_000_000
