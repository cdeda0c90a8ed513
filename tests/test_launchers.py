"""Launchers: shards and arrays are the same bytes, and ranks find each other, in processes, Slurm jobs and Ray tasks."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from tests import ray_cluster, slurm_cluster
from tests.conftest import ROOT
from tests.test_blocks import PRIOR, of_kind
from tests.test_in_parts import cpu
from tests.test_shards import Holey, content, write
from umemma.data import arrays, shards
from umemma.errors import DataError, SettingError
from umemma.launchers import local_launcher, ray_launcher, slurm_launcher
from umemma.launchers.launcher import chosen
from umemma.media.decoders.image import Decoder
from umemma.prediction import in_parts

needs_submitit = pytest.mark.skipif(find_spec("submitit") is None, reason="the extra `slurm` is not installed")
needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="the extra `ray` is not installed")
needs_slurm = pytest.mark.skipif(not slurm_cluster.is_installed(), reason="slurmctld and slurmd are not installed")
SUM = """
import torch
from umemma.models.ranks import Ranks

ranks = Ranks.joined(torch.device("cpu"))
total = ranks.summed(torch.tensor([ranks.rank + 1.0]))
torch.distributed.destroy_process_group()  # as a stage does: an exit beside its threads may abort
assert total.item() == 3, total
"""

LOST = """
import os, pathlib, signal, sys, time
from umemma.parent_death import end_with_parent

began = pathlib.Path(sys.argv[1], os.environ["RANK"])
if not began.exists():
    end_with_parent()
    began.write_text(f"{os.getpid()}")
    if began.name == "1":
        while not began.with_name("0").exists():
            time.sleep(0.1)
        os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(600)  # as a rank that waits for the others
"""


class Doomed(Holey):
    """Holey digits, whose first reader on the second node kills that node; the first node's wait for it."""

    def __init__(self, root):
        super().__init__(root)
        self._end = root / "end"

    def sample(self, split, index):
        if ray_cluster.DOOMED in os.environ:
            self._end.touch()
            for process in (os.getppid(), os.getpid()):
                os.kill(process, signal.SIGKILL)
        deadline = time.monotonic() + 120
        while not self._end.exists():
            assert time.monotonic() < deadline, "the second node has no part of the map"
            time.sleep(0.1)
        return super().sample(split, index)


def everything(folder, launcher):
    """Return the bytes of shards and arrays that are made in `folder`."""
    write(folder / "shards", Holey(folder), launcher=launcher)
    index = shards.verify(folder / "shards")
    arrays.write(index, folder / "shards", "image", Decoder(), folder / "arrays", launcher=launcher)
    return content(folder / "shards") | content(folder / "arrays")


def unlucky(number):
    if number == 13:
        raise DataError("13 is unlucky")
    return number


def lost_once(mark, number):
    """End the process that is first to get a 2, as that of a node that is switched off."""
    if number == 2 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def predicted(model, media, launcher):
    """Return the bytes of what a model answers in parts of ten samples."""
    group = torch.arange(len(media))
    found = in_parts.predict(model, media, PRIOR, group=group, features=None, set_up=cpu, launcher=launcher)
    return {pattern: logits.numpy().tobytes() for pattern, logits in found.logits.items()}


def check(launcher, folder, model, media, monkeypatch):
    """A map's bytes are those of this process, an error of a job is its own, and two ranks add up."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(in_parts, "ROWS", 10)
    here = local_launcher.Launcher(1)
    assert everything(folder / "there", launcher) == everything(folder / "here", here)
    assert predicted(model, media, launcher) == predicted(model, media, here)
    with pytest.raises(DataError, match=r"^13 is unlucky$"):
        list(launcher.map(unlucky, [12, 13]))
    assert launcher.train([sys.executable, "-c", SUM], 2) == 0
    assert launcher.train([sys.executable, "-c", "import os; raise SystemExit(int(os.environ['RANK']) * 7)"], 2) == 7


@pytest.fixture
def model(towers, media):
    return of_kind("concat/donor/feature", towers, media).eval()


@pytest.fixture
def folder(tmp_path):
    for name in ("there", "here"):
        (tmp_path / name).mkdir()
    return tmp_path


@needs_submitit
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # submitit waits for no process
def test_jobs_that_share_a_map_return_its_results_in_order(tmp_path, monkeypatch):
    """As processes of this machine, which submitit starts as it does Slurm's."""
    monkeypatch.chdir(ROOT)
    launcher = slurm_launcher.Launcher(3, {"cluster": "local"}, tmp_path)
    assert list(launcher.map(unlucky, [5, 1, 4, 2])) == [5, 1, 4, 2]
    assert list(launcher.map(unlucky, [])) == []


@needs_submitit
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_job_that_ends_without_a_result_is_submitted_again(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    launcher = slurm_launcher.Launcher(2, {"cluster": "local"}, tmp_path / "logs")
    assert list(launcher.map(partial(lost_once, tmp_path / "lost"), [1, 2, 3])) == [1, 2, 3]
    assert (tmp_path / "lost").exists()


@needs_submitit
def test_an_option_that_slurm_does_not_have_is_named(tmp_path):
    launcher = slurm_launcher.Launcher(1, {"cluster": "debug", "partitoin": "gpu"}, tmp_path)
    with pytest.raises(SettingError, match=r"compute\.slurm: .*partitoin"):
        list(launcher.map(unlucky, [1]))
    nodes = slurm_launcher.Launcher(1, {"cluster": "debug", "nodes": 2}, tmp_path)
    with pytest.raises(
        SettingError, match=r"compute\.devices is 3, which 2 nodes \(compute\.slurm\.nodes\) cannot share"
    ):
        nodes.train(["true"], 3)


@needs_ray
def test_an_option_that_ray_does_not_have_is_named():
    launcher = ray_launcher.Launcher(1, {"num_cpsu": 2})
    with pytest.raises(SettingError, match=r"compute\.ray: .*num_cpsu"):
        list(launcher.map(unlucky, [1]))


class Recorded:
    """Which process did a job; with `held`, something open that processes would share."""

    def __init__(self, held=None):
        self._held = held

    def __call__(self, job):
        time.sleep(0.2)
        return os.getpid()


def processes(workers, function):
    """The processes that do eight short jobs, in one whose torch has a single thread."""
    code = (
        "import os, sys, torch; torch.set_num_threads(1); from tests import test_launchers as t; "
        f"done = list(t.local_launcher.Launcher({workers}).map({function}, range(8))); "
        "print(len(set(done)), os.getpid() in done)"
    )
    command = [sys.executable, "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout.split()


def test_where_processes_cost_nothing_they_begin_at_once():
    assert processes(2, "t.Recorded()") == ["2", "False"]
    cores = len(os.sched_getaffinity(0))
    assert processes(None, "t.Recorded()") == [str(min(cores, 8)), str(cores < 2)]


def test_an_open_file_is_not_shared_between_processes():
    assert processes(2, "t.Recorded(open(os.devnull))") == ["1", "True"]


@pytest.mark.parametrize(("name", "package"), [("slurm", "submitit"), ("ray", "ray")])
def test_a_launcher_without_its_package_says_how_to_get_it(tmp_path, monkeypatch, name, package):
    monkeypatch.setitem(sys.modules, package, None)
    launcher = chosen(name, workers=None, options={}, logs=tmp_path)
    with pytest.raises(SettingError, match=rf"needs the package {package}: .*-e '\.\[{name}\]'"):
        list(launcher.map(unlucky, [1]))


@needs_submitit
@needs_slurm
@pytest.mark.slow
def test_slurm_makes_the_same_bytes_and_starts_the_ranks(folder, model, media, monkeypatch):
    with slurm_cluster.running(folder / "slurm") as configuration:
        monkeypatch.setenv("SLURM_CONF", str(configuration))
        launcher = slurm_launcher.Launcher(2, {"cluster": "slurm"}, folder / "logs")
        check(launcher, folder, model, media, monkeypatch)


@needs_ray
@pytest.mark.slow
def test_ray_makes_the_same_bytes_and_starts_the_ranks_though_a_node_is_lost(folder, model, media, monkeypatch):
    with ray_cluster.running() as address:
        launcher = ray_launcher.Launcher(None, {"address": address})
        check(launcher, folder, model, media, monkeypatch)
        assert launcher.train([sys.executable, "-c", LOST, str(folder)], 2) == 0
        deadline = time.monotonic() + 10  # a process that was killed may have to wait for a core to end on
        for rank in ("0", "1"):
            while Path("/proc", (folder / rank).read_text()).exists():
                assert time.monotonic() < deadline, f"rank {rank} of the first run is still there"
                time.sleep(0.1)
        write(folder / "doomed", Doomed(folder), launcher=launcher)
        assert content(folder / "doomed") == content(folder / "here/shards")
