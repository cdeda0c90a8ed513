"""`make prune` removes what nothing needs, says how much it is, and leaves what anything is made from."""

import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from dvc.repo import Repo

from flows import prune
from flows.experiments import Experiments
from flows.lineage import gather
from flows.objects import opened
from flows.prune import shown
from flows.workspace import experiment
from tests import lineage_sample
from tests.test_flows import call, environment
from umemma.serving import log_files
from umemma.tracking import find

pytestmark = [
    pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning"),  # of a library under DVC
    pytest.mark.filterwarnings("ignore::DeprecationWarning:(mlflow|sqlalchemy|alembic)"),  # of one another
]
NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Seed 0 in a commit and in the workspace, seed 1 in an experiment on it."""
    place = tmp_path_factory.mktemp("prune")
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
        yield root


def cached(root: Path) -> set[str]:
    with Repo(str(root)) as repo:
        return set(repo.cache.local.all())


def test_what_a_run_is_made_from_stays_in_the_cache_until_nothing_names_it(root, monkeypatch, tmp_path):
    whole = cached(root)
    assert prune.of_cache(root, NOW).count == 0
    commit = call(root, "git", "rev-parse", "HEAD").strip()
    revision = Experiments(root, commit).revision("other")
    lock, export = call(root, "git", "show", f"{revision}:dvc.lock"), gather(root, "other").artifact("data/export")
    Experiments(root, commit).remove("other")

    monkeypatch.setattr(find, "lineage_files", lambda *_: iter([("m" * 32, lock)]))
    assert prune.of_cache(root, NOW).count == 0, "a run in MLflow was made from it"
    kept = root / ".mlflow/later/1/files/0"
    kept.mkdir(parents=True)
    (kept / "dvc.lock").write_text(lock)
    monkeypatch.setattr(find, "lineage_files", lambda *_: iter([]))
    assert prune.of_cache(root, NOW).count == 0, "a run waits to be logged that was made from it"
    (kept / "dvc.lock").unlink()

    with experiment(root, [], "now", print):
        assert "1 runs with overrides are under way" in prune.of_cache(root, NOW).line()
    found = prune.of_cache(root, NOW)
    assert found.count > 0
    assert found.num_bytes == sum(
        Path(root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]).stat().st_size for md5 in whole - _needed(root)
    )
    assert cached(root) == whole, "looking removes nothing"
    lines = list(prune.prune(root, days=90, log=tmp_path, removes=True))
    assert lines[-1].endswith("freed")
    assert cached(root) == _needed(root)
    assert export.md5 not in cached(root)
    with opened(root) as objects:
        objects.copy(gather(root).artifact("data/export").md5, tmp_path / "model")
    assert prune.of_cache(root, NOW).count == 0


def _needed(root: Path) -> set[str]:
    with Repo(str(root)) as repo:
        return {one.value for named in repo.used_objs(all_commits=True).values() for one in named}


def test_a_run_that_cannot_be_read_may_need_anything(root):
    lock = root / "dvc.lock"
    text = lock.read_text()
    lock.write_text(text.replace("path: data/export", "path: ../export"))
    try:
        call(root, "git", "commit", "-qam", "damaged")
        lock.write_text(text)
        assert "cannot be read, and may need anything" in prune.of_cache(root, NOW).line()
    finally:
        call(root, "git", "reset", "-q", "--hard", "HEAD~1")
        call(root, "git", "reflog", "expire", "--expire=now", "--all")


def test_a_cache_that_others_may_use_is_left_alone(root):
    with Repo(str(root)) as repo, repo.config.edit("local") as config:
        config["cache"] = {"dir": str(root.parent / "shared")}
    try:
        assert "others may use it" in prune.of_cache(root, NOW).line()
    finally:
        (root / ".dvc/config.local").unlink()


def test_answers_go_when_they_are_old_and_foreign_files_stay(tmp_path):
    log = tmp_path / "answers"
    log.mkdir()
    new = log / log_files.name(1)
    old = log / f"{NOW - timedelta(days=91):%Y%m%dT%H%M%S.%fZ}-1-000000.parquet"
    others = [log / "mine.parquet", log / "notes.txt"]
    for path in (new, old, *others):
        path.write_bytes(b"x" * 2048)
    found = prune.of_log(tmp_path, NOW - timedelta(days=90), log=Path("answers"))
    assert found.line() == "files of answers in answers: 1, 2.0 KiB"
    found.remove()
    assert sorted(log.iterdir()) == sorted([new, *others])


def test_what_killed_processes_left_goes_and_what_is_being_written_stays(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    folder = tmp_path / "data/reports"
    folder.mkdir(parents=True)
    dead, alive = folder / f".a.json.{ended.pid}.part", folder / f".b.json.{os.getpid()}.part"
    for path in (dead, alive):
        path.write_text("half")
    found = prune.of_killed(tmp_path, NOW)
    assert (found.count, found.num_bytes) == (1, 4)
    found.remove()
    assert [*folder.iterdir()] == [alive]


def test_copies_of_models_go_when_they_are_old(tmp_path):
    for name, days in (("old", 91), ("new", 1)):
        folder = tmp_path / ".mlflow/fetched" / name
        folder.mkdir(parents=True)
        (folder / "weights").write_bytes(b"x" * 10)
        os.utime(folder, (time.time() - days * 86400,) * 2)
    found = prune.of_mlflow(tmp_path, NOW - timedelta(days=90))
    assert (found.count, found.num_bytes) == (1, 10)
    found.remove()
    assert [path.name for path in (tmp_path / ".mlflow/fetched").iterdir()] == ["new"]


def test_sizes_are_told_in_words():
    assert [shown(size) for size in (0, 1023, 1024, 1536, 3 * 2**30, 2**50)] == [
        "0 bytes",
        "1023 bytes",
        "1.0 KiB",
        "1.5 KiB",
        "3.0 GiB",
        "1048576.0 GiB",
    ]
