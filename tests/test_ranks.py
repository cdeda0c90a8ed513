"""Several processes that train one model: the same curves as one, each sample once, and errors that end all of them."""

import subprocess
import sys
from itertools import pairwise

import pytest
import torch

from tests import ranks_sample
from tests.conftest import ROOT
from tests.stages_here import compose, run_stages
from umemma.files import read_json
from umemma.launchers import local_launcher
from umemma.models.divided import Share
from umemma.models.ranks import Ranks
from umemma.training import resume


@pytest.mark.parametrize("number", [1, 2, 3, 5])
@pytest.mark.parametrize("total", [1, 2, 4, 23, 128])
def test_every_row_is_one_ranks(total, number):
    shares = [Share.of(total, Ranks(rank, number)) for rank in range(number)]
    counted = [row for share in shares for row in range(share.start, share.start + share.counted)]
    assert counted == list(range(total))
    assert all(share.taken >= 1 for share in shares), "no network gets an empty batch"
    sizes = [share.counted for share in shares]
    assert max(sizes) - min(sizes) <= 1
    frames = [share.times(7) for share in shares]
    assert [row for share in frames for row in range(share.start, share.start + share.counted)] == list(
        range(7 * total)
    )


@pytest.mark.parametrize("number", [1, 2, 3])
def test_ranks_take_turns_at_blocks(number):
    turns = [list(Ranks(rank, number).own(range(10))) for rank in range(number)]
    assert sorted(block for turn in turns for block in turn) == list(range(10))
    assert all(late - early == number for turn in turns for early, late in pairwise(turn))


def test_alone_nothing_is_exchanged():
    alone, value = Ranks(), torch.ones(2)
    assert alone.summed(value) is value
    assert alone.agreed(value) is value
    assert alone.is_first


def test_two_ranks_train_as_one_does(tmp_path, monkeypatch):
    """With batch normalisation, dropout, augmentation, class weights, missing modalities, and an odd batch."""
    monkeypatch.chdir(ROOT)
    command = [sys.executable, "-m", "tests.ranks_sample", str(tmp_path / "two.json")]
    assert local_launcher.Launcher().train(command, 2) == 0
    alone, two = ranks_sample.trained(), read_json(tmp_path / "two.json")
    assert alone.keys() == two.keys()
    for name, curve in alone.items():
        assert len(curve) == len(two[name]) >= 4
        for row, other in zip(curve, two[name], strict=True):
            assert row == pytest.approx(other, abs=1e-5), name


@pytest.mark.parametrize(("code", "message"), [("raise SystemExit(7)", ""), ("os.kill(os.getpid(), 9)", "SIGKILL")])
def test_a_rank_that_fails_ends_all(capfd, code, message):
    script = f"import os, time\nif os.environ['RANK'] == '1':\n    {code}\ntime.sleep(600)"
    assert local_launcher.Launcher().train([sys.executable, "-c", script], 2) == (9 if message else 7)
    assert message in capfd.readouterr().err


SHORT = "dataset.modalities.image.epochs=4"  # what sums in another order differ by grows with every epoch


@pytest.mark.slow
def test_a_stage_trains_on_two_devices_and_the_first_rank_writes(checkout):
    folder = checkout()
    compose(folder, "dataset=digits", "compute.threads=1")
    run_stages(folder, "decode@image")
    tower, path = folder / "data/towers/digits/image", folder / "data/reports/curves/digits/image.json"
    curves = []
    for devices in (1, 2):
        compose(folder, "dataset=digits", "compute.threads=1", f"compute.devices={devices}", SHORT)
        stage = subprocess.run(
            [sys.executable, "-m", "stages.pretrain", "image"], cwd=folder, check=True, capture_output=True, text=True
        )
        assert stage.stdout.splitlines()[-1].startswith("image: samples_seen")
        assert stage.stdout.count("image: samples_seen") == 1
        assert sorted(file.name for file in tower.iterdir()) == [
            "features.safetensors",
            "result.json",
            "tower.safetensors",
        ]
        curves.append(read_json(path))
    assert [row["train_loss"] for row in curves[1]] == pytest.approx([row["train_loss"] for row in curves[0]], abs=1e-3)


@pytest.mark.slow
def test_what_two_ranks_kept_before_they_were_killed_one_goes_on_from(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    folder = tmp_path / "kept"
    command = [sys.executable, "-m", "tests.ranks_sample", str(tmp_path / "never.json"), str(folder)]
    assert local_launcher.Launcher().train(command, 2) == 9
    assert len(list(folder.iterdir())) == 3, "two towers were through, one under way"
    steps = []
    keep = resume.Training.keep
    monkeypatch.setattr(
        resume.Training, "keep", lambda self, position: (steps.append(position.step), keep(self, position))
    )
    with resume.kept_in(folder):
        resumed = ranks_sample.trained()
    of_resumed = len(steps)
    undisturbed = ranks_sample.trained()
    again = of_resumed - (len(steps) - of_resumed - ranks_sample.STEPS)
    assert again in (0, 1), "of all that was kept, at most the step in which they died is done again"
    for name, curve in undisturbed.items():
        assert [pytest.approx(row, abs=1e-5) for row in curve] == resumed[name]
