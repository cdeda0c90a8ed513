"""What a run was made from, in the workspace, an experiment and a commit; DVC's objects from cache and remote; the trace
back from an answer and forward from data; and a model restored."""

import csv
import dataclasses
import hashlib
import json
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from flows import lineage, trace, trace_text
from flows.descent import Descent
from flows.experiments import Experiments
from flows.lineage import EXPORT, MODEL, SHARDS, gather
from flows.objects import NotStored, opened
from flows.origin import Origin
from flows.runs import Runs
from flows.workspace import experiment
from tests import lineage_sample
from tests.lineage_sample import Made
from tests.test_flows import call, environment
from umemma.errors import UmemmaError
from umemma.files import sha256
from umemma.serving import folder

pytestmark = [
    pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning"),  # of a library under DVC
    pytest.mark.filterwarnings("ignore::DeprecationWarning:(mlflow|sqlalchemy|alembic)"),  # of one another
]


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
        lineage_sample.reproduce(root)
        commit = lineage_sample.commit(root, "baseline")
        with experiment(root, ["seed=1"], "other", print) as workspace:
            lineage_sample.reproduce(workspace.root)
            Experiments(root, commit).keep(workspace, "other")
        lineage_sample.push(root, "other")
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
    places = [one.where for one in lineage.everywhere(ran.root, lambda where, why: None)]
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


def test_a_broken_lock_of_the_past_hides_no_other_run(ran, tmp_path, traced):
    root = lineage_sample.clone(ran.root, tmp_path / "clone")
    text = (root / "dvc.lock").read_text()
    (root / "dvc.lock").write_text("<<<<<<< HEAD\n")
    broken = lineage_sample.commit(root, "broken")
    (root / "dvc.lock").write_text(text)
    found, _ = traced(root, answer_of(ran.made, 1, "k04")["id"])
    assert found.model == ran.made.digest[1]
    with pytest.raises(UmemmaError, match=f"could not be read: commit {broken[:7]} .*not as DVC writes it"):
        traced(root, "0" * 12)


@pytest.mark.parametrize(
    ("key", "value"), [("path", "../out"), ("path", "/tmp/out"), ("md5", "../../../../etc/passwd")]
)
def test_a_lock_that_leads_out_is_no_lock(ran, tmp_path, key, value):
    root = lineage_sample.clone(ran.root, tmp_path / "clone")
    model = gather(root).artifact(MODEL)
    text = (root / "dvc.lock").read_text().replace(f"{key}: {getattr(model, key)}", f"{key}: {value}")
    (root / "dvc.lock").write_text(text)
    with pytest.raises(UmemmaError, match=r"not as DVC writes it: .*(out|passwd)"):
        gather(root)


@pytest.mark.parametrize("entry", [{"md5": "0" * 32, "relpath": "../out"}, {"md5": "../../etc/passwd", "relpath": "x"}])
def test_a_folder_in_the_store_that_leads_out_is_refused(ran, tmp_path, entry):
    content = json.dumps([entry]).encode()
    digest = f"{hashlib.md5(content).hexdigest()}.dir"
    root = lineage_sample.clone(ran.root, tmp_path / "clone")
    path = root / ".dvc/cache/files/md5" / digest[:2] / digest[2:]
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with opened(root) as objects, pytest.raises(UmemmaError, match="leads out of the folder, or the cache"):
        objects.copy(digest, tmp_path / "restored")
    assert not (tmp_path / "out").exists()


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


@pytest.fixture
def traced():
    """Trace in a project; return what is found and its lines. MLflow has no store there; test_mlflow_model has one."""

    def call(root, asked):
        with opened(root) as objects:
            found = trace.trace(Runs(root, objects), asked)
        json.dumps(dataclasses.asdict(found))
        return found, "\n".join(trace_text.lines(found))

    return call


def answer_of(made: Made, seed: int, key: str) -> dict[str, str]:
    with (made.folder / f"predictions-{seed}").open(newline="") as file:
        return next(row for row in csv.DictReader(file) if row["key"] == key)


def test_an_answer_leads_to_its_model_run_stages_sample_shard_and_raw_file_in_a_fresh_clone(ran, tmp_path, traced):
    root = lineage_sample.clone(ran.root, tmp_path / "clone")
    row = answer_of(ran.made, 1, "k04")
    found, text = traced(root, row["id"])
    assert isinstance(found, Origin)
    assert (found.model, found.found_in) == (ran.made.digest[1], ["experiment other"])
    assert (found.answer.key, found.answer.predicted) == ("k04", row["predicted"])
    photo = sha256(ran.made.table.parent / "photos/p4.png")
    assert (found.sample.shard, found.sample.sha256["photo"]) == ("val-000000.tar", photo)
    assert found.raw_files == {"pets.csv": sha256(ran.made.table)}
    assert [stage.name for stage in found.stages] == ["watch", "prepare", "fuse", "export"]
    assert (found.parameters, found.facts["dataset"], found.code) == ({"seed": 1}, "pets", gather(root, "other").commit)
    for part in (row["id"], found.model, photo, sha256(ran.made.table), "data/model@", "experiment other", "seed: 1"):
        assert part in text, part


@pytest.mark.parametrize("kind", ["digest", "folder", "experiment", "revision"])
def test_a_model_is_found_by_every_name_it_has(ran, traced, kind):
    names = {"digest": ran.made.digest[0][:12], "folder": str(ran.made.folder / "model-0"), "revision": "main"}
    found, _ = traced(ran.root, names.get(kind, "other"))
    date = call(ran.root, "git", "log", "-1", "--format=%cs", ran.commit).strip()
    assert found.model == ran.made.digest[int(kind == "experiment")]
    if kind != "experiment":
        assert found.found_in[:2] == ["the workspace", f"commit {ran.commit[:7]} of {date}"]


def test_the_commit_is_the_oldest_that_has_the_model(ran, tmp_path, traced):
    root = lineage_sample.clone(ran.root, tmp_path / "clone")
    (root / "README.md").write_text("of later")
    (root / "dvc.lock").write_text((root / "dvc.lock").read_text() + "\n")
    later = lineage_sample.commit(root, "later")
    found, _ = traced(root, ran.made.digest[0])
    assert (len(found.found_in), found.code) == (3, ran.commit)
    assert gather(root).commit == later


def test_data_lead_forward_to_the_models_and_answers_made_from_them(ran, traced):
    models = [ran.made.digest[0], ran.made.digest[1]]
    photo = ran.made.table.parent / "photos/p4.png"
    for asked in (str(ran.made.table), sha256(ran.made.table), "pets.csv", "train-000000.tar", "k04", str(photo)):
        found, text = traced(ran.root, asked)
        assert isinstance(found, Descent), asked
        assert [use.model for use in found.uses] == models, asked
        assert all(digest in text for digest in models)
    assert [sample.key for sample in found.uses[0].samples] == ["k04"]  # by the picture's content
    assert [use.answers[0].id for use in found.uses] == [answer_of(ran.made, seed, "k04")["id"] for seed in (0, 1)]


def test_what_is_nowhere_is_said_with_the_places_that_were_looked_in(ran, tmp_path, traced):
    looked = "nowhere in the workspace's dvc.lock, 1 experiments of DVC, 1 commits of dvc.lock and MLflow"
    for asked in ("0" * 12, f"{'0' * 12}-{'1' * 12}", "nothing", "--help me", "0" * 64):
        with pytest.raises(UmemmaError, match=looked):
            traced(ran.root, asked)
    root = lineage_sample.clone(ran.root, tmp_path / "clone")
    call(root, "dvc", "remote", "remove", "store")
    with pytest.raises(UmemmaError, match=r"not looked into.*: the workspace \(.* not in DVC's cache, and there is no"):
        traced(root, "0" * 12)


def test_a_new_row_is_not_among_the_test_samples_and_its_model_is_traced_all_the_same(ran, traced):
    found, _ = traced(ran.root, f"{ran.made.digest[0][:12]}-{'0' * 12}")
    assert (found.model, found.answer) == (ran.made.digest[0], None)
    assert any("none of the test samples" in note for note in found.notes)


def test_the_log_of_a_server_says_when_an_answer_was_given(ran, tmp_path, monkeypatch, capsys):
    asked = answer_of(ran.made, 0, "k04")["id"]
    rows = [
        {"time": datetime(2026, 11, day, tzinfo=UTC), "request": f"r{day}", "id": one, "key": "mine", "used": "note"}
        | {"predicted": "cat", "confidence": 0.5}
        for day, one in ((27, asked), (26, asked), (25, f"{asked[:-1]}x"))
    ]
    (tmp_path / "log").mkdir()
    for number, row in enumerate(rows):
        parquet.write_table(pa.Table.from_pylist([row]), tmp_path / f"log/{number}.parquet")
    monkeypatch.chdir(ran.root)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["trace", *map(str, arguments)])
        trace.main()
        return capsys.readouterr().out

    text = run(asked, "--log", tmp_path / "log")
    times = [line.split()[-6] for line in text.splitlines() if line.endswith("as mine: cat, from note")]
    assert times == ["2026-11-26T00:00:00+00:00", "2026-11-27T00:00:00+00:00"]
    with pytest.raises(UmemmaError, match="no log is there"):
        run(asked, "--log", tmp_path)
    with pytest.raises(UmemmaError, match="name one by its id"):
        run("k04", "--log", tmp_path / "log")


def test_a_run_that_the_next_one_overwrote_is_found_as_mlflow_has_kept_it(ran, tmp_path, traced, monkeypatch):
    from umemma.tracking import find

    root = lineage_sample.clone(ran.root, tmp_path / "clone")
    lock = call(root, "git", "show", f"{gather(root, 'other').commit}:dvc.lock")
    call(root, "git", "update-ref", "-d", f"refs/exps/{ran.commit[:2]}/{ran.commit[2:]}/other")
    asked = answer_of(ran.made, 1, "k04")["id"]
    with pytest.raises(UmemmaError, match="nowhere"):
        traced(root, asked)
    logged = find.Logged(ran.made.digest[1], "1d" * 16, "warm", "pets", {"git.commit": f"{ran.commit}-dirty"}, (), ())
    monkeypatch.setattr(find, "runs", lambda root, digest: [logged] if ran.made.digest[1].startswith(digest) else [])
    monkeypatch.setattr(find, "lineage_file", lambda root, run, name: lock)
    found, text = traced(root, asked)
    assert (found.found_in, found.code, found.is_dirty) == ([f"MLflow run {'1d' * 16}"], ran.commit, True)
    assert (found.answer.key, found.parameters) == ("k04", {"seed": 1})
    assert "with uncommitted changes" in text


def test_a_model_and_all_of_its_run_are_restored_with_the_bytes_they_had(ran, tmp_path, monkeypatch, traced, capsys):
    root = lineage_sample.clone(ran.root, tmp_path / "clone")
    monkeypatch.chdir(root)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["trace", *map(str, arguments)])
        trace.main()
        return capsys.readouterr().out

    asked = answer_of(ran.made, 1, "k01")["id"]
    assert f"sha256 {ran.made.digest[1]}, the same" in run(asked, "--restore", tmp_path / "model")
    assert folder.verify(tmp_path / "model") == ran.made.digest[1]
    run(asked, "--restore", tmp_path / "all", "--all", "--json")
    assert (tmp_path / "all/data/model/model.safetensors").read_text() == "seed 1"
    for name in ("train-000000.tar", "manifest.parquet"):
        assert sha256(tmp_path / "all/data/shards" / name) == sha256(ran.made.folder / "shards" / name)
    for arguments, sentence in (
        ((asked, "--restore", root), "is there already"),
        (("k01", "--restore", tmp_path / "x"), "name an answer, a model or a run"),
        ((asked, "--all"), "--all belongs to --restore"),
    ):
        with pytest.raises(UmemmaError, match=sentence):
            run(*arguments)
    assert not (tmp_path / "x").exists()
