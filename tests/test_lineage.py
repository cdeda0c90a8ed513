"""What a run was made from, in the workspace, an experiment and a commit; and DVC's objects from cache and remote."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from flows import lineage
from flows.experiments import Experiments
from flows.lineage import EXPORT, MODEL, SHARDS, gather
from flows.objects import NotStored, opened
from flows.workspace import experiment
from tests import lineage_sample
from tests.lineage_sample import Made
from tests.test_flows import call, environment
from umemma.errors import UmemmaError
from umemma.files import sha256
from umemma.serving import folder

pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")  # of a library under DVC


@dataclass(frozen=True)
class Ran:
    """Seed 0 in a commit, seed 1 in an experiment on it, and seed 0 again in the workspace; all are in the remote."""

    root: Path
    made: Made
    commit: str


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    place = tmp_path_factory.mktemp("lineage")
    made = lineage_sample.made(place)
    with pytest.MonkeyPatch.context() as patch:
        for key, value in {**environment(), "MADE": str(made.folder)}.items():
            patch.setenv(key, value)
        root = lineage_sample.project(place / "project")
        call(root, "dvc", "repro", "-q")
        commit = lineage_sample.commit(root, "baseline")
        with experiment(root, ["seed=1"], "other", print) as workspace:
            call(workspace.root, "dvc", "repro", "-q")
            Experiments(root, commit).keep(workspace, "other")
        call(root, "git", "push", "-q", "origin", "main")
        call(root, "dvc", "push", "-q")
        call(root, "dvc", "exp", "push", "-q", "origin", "other")
        yield Ran(root, made, commit)


def test_the_workspace_an_experiment_and_a_commit_name_what_they_were_made_from(ran):
    here, there, committed = gather(ran.root), gather(ran.root, "other"), gather(ran.root, "main")
    assert (here.commit, here.is_dirty, committed.commit) == (ran.commit, False, ran.commit)
    assert there.where == "experiment other"
    assert here.artifact(EXPORT) == committed.artifact(EXPORT) != there.artifact(EXPORT)
    assert here.artifact(SHARDS) == there.artifact(SHARDS)
    assert here.artifact(MODEL).md5.endswith(".dir")
    assert here.artifact("data/elsewhere") is None
    assert [stage.name for stage in there.upstream(EXPORT)] == ["watch", "prepare", "fuse", "export"]
    assert [stage.name for stage in there.upstream(SHARDS)] == ["watch", "prepare"]
    assert (here.parameters(EXPORT), there.parameters(EXPORT)) == ({"seed": 0}, {"seed": 1})
    assert here.outdated(EXPORT) == []
    places = [one.where for one in lineage.everywhere(ran.root)]
    assert places[:2] == ["the workspace", "experiment other"]
    assert [place.split()[1] for place in places[2:]] == [ran.commit[:7]]


def test_uncommitted_code_and_a_run_that_stopped_halfway_are_told(ran, tmp_path):
    root = lineage_sample.clone(ran.root, tmp_path / "clone")
    assert not gather(root).is_dirty
    (root / "step.py").write_text((root / "step.py").read_text() + "\n")
    assert gather(root).is_dirty
    model = gather(root).artifact(MODEL).md5
    lock = (root / "dvc.lock").read_text().replace(model, f"{'0' * 32}.dir", 1)  # as an output; read by another stage
    (root / "dvc.lock").write_text(lock)
    assert gather(root).outdated(EXPORT) == ["data/model has been made anew since export read it"]
    (root / "dvc.lock").write_text("<<<<<<< HEAD\n")
    with pytest.raises(UmemmaError, match=r"dvc\.lock is not as DVC writes it"):
        gather(root)
    with pytest.raises(UmemmaError, match="no experiment, branch, tag or commit 'nowhere'"):
        gather(root, "nowhere")


def test_objects_come_from_the_remote_where_the_cache_is_empty_and_are_copies(ran, tmp_path):
    root = lineage_sample.clone(ran.root, tmp_path / "clone")
    export = gather(root, "other").artifact(EXPORT).md5
    with opened(root) as objects:
        assert lineage.raw_files(gather(root), objects) == {"pets.csv": sha256(ran.made.table)}
        objects.copy(export, tmp_path / "restored")
        assert folder.verify(tmp_path / "restored") == ran.made.digest[1]
        (tmp_path / "restored/README.md").write_text("changed")
        assert objects.path(objects.files(export)["README.md"]).read_text() == "seed 1"
        with pytest.raises(NotStored, match="`dvc push` where the run was made"):
            objects.path("0" * 32)
    call(root, "dvc", "remote", "remove", "store")
    with opened(root) as objects, pytest.raises(NotStored, match="there is no remote"):
        objects.path("0" * 32)


def test_a_damaged_object_is_named_and_never_handed_out(ran, tmp_path):
    root = lineage_sample.clone(ran.root, tmp_path / "clone")
    export = gather(root).artifact(EXPORT).md5
    with opened(root) as objects:
        card = objects.path(objects.files(export)["README.md"])
        card.chmod(0o644)
        card.write_text("seed 9")
        with pytest.raises(UmemmaError, match="is damaged: its md5 is"):
            objects.copy(export, tmp_path / "restored")
