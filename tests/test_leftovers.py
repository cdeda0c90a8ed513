"""Switching the data set: outputs of the old one are removed, and restored from the cache."""

from pathlib import Path

import pytest
import yaml

from flows.leftovers import remove_leftovers
from tests.test_flows import call, environment

pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")  # of a library under DVC

DVC_YAML = """
stages:
  tower:
    foreach: ${dataset.modalities}
    do:
      cmd: python step.py data/towers/${dataset.name}/${item} data/curves/${dataset.name}/${item}.json
      deps: [step.py]
      outs: ["data/towers/${dataset.name}/${item}", "data/curves/${dataset.name}/${item}.json"]
  watch:
    foreach: ${dataset.watched}
    do:
      cmd: python step.py data/watched.json
      deps: [step.py]
      outs: [data/watched.json]
  report:
    cmd: python step.py data/report.json
    deps: [step.py]
    params: [dataset]
    outs: [data/report.json]
"""
STEP = """
import pathlib, sys
pathlib.Path("data/log").open("a").write(" ".join(sys.argv[1:]) + "\\n")
for out in map(pathlib.Path, sys.argv[1:]):
    path = out if out.suffix else out / "tower"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(str(out))
"""
SETS = {
    "pictures": {"modalities": ["image", "audio"], "watched": ["raw"]},
    "vectors": {"modalities": ["a", "b"], "watched": []},
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for key, value in environment().items():
        monkeypatch.setenv(key, value)
    (tmp_path / "data").mkdir()
    for name, text in {"dvc.yaml": DVC_YAML, "step.py": STEP, ".gitignore": "/data/*\n"}.items():
        (tmp_path / name).write_text(text)
    switch(tmp_path, "pictures")
    for command in (["git", "init", "-q"], ["dvc", "init", "-q"], ["git", "add", "."], ["git", "commit", "-qm", "toy"]):
        call(tmp_path, *command)
    call(tmp_path, "dvc", "repro", "-q")
    return tmp_path


def switch(root: Path, name: str) -> None:
    (root / "params.yaml").write_text(yaml.safe_dump({"dataset": {"name": name, **SETS[name]}}))


def files(root: Path) -> set[str]:
    return {
        path.relative_to(root / "data").as_posix()
        for path in (root / "data").rglob("*")
        if path.is_file() and path.name != "log"
    }


def stages(root: Path) -> set[str]:
    return set(yaml.safe_load((root / "dvc.lock").read_text())["stages"])


@pytest.mark.slow
def test_the_old_data_set_goes_with_its_stages_and_comes_back_from_the_cache(project: Path) -> None:
    before, locked = files(project), (project / "dvc.lock").read_text()
    assert remove_leftovers(project) == []
    assert (files(project), (project / "dvc.lock").read_text()) == (before, locked), "there is nothing to remove"
    switch(project, "vectors")
    call(project, "dvc", "repro", "-q")
    assert "watched.json" in files(project)
    assert remove_leftovers(project) == []
    towers = {f"towers/vectors/{name}/tower" for name in "ab"} | {f"curves/vectors/{name}.json" for name in "ab"}
    assert files(project) == {"report.json", *towers}
    assert not (project / "data/towers/pictures").exists()
    assert stages(project) == {"tower@a", "tower@b", "report"}
    assert "up to date" in call(project, "dvc", "status")
    ran = (project / "data/log").read_text()
    switch(project, "pictures")
    call(project, "dvc", "repro", "-q")
    assert remove_leftovers(project) == []
    assert files(project) == before
    assert yaml.safe_load((project / "dvc.lock").read_text()) == yaml.safe_load(locked)
    assert (project / "data/log").read_text() == ran, "nothing is made again"
    for command in ("checkout", "commit", "status", "gc -w -f"):
        call(project, "dvc", *command.split())


def test_what_the_cache_does_not_hold_stays(project: Path) -> None:
    tower = project / "data/towers/pictures/image/tower"
    tower.unlink()
    tower.write_text("trained on by hand")
    foreign = project / "data/towers/others/mine"
    foreign.mkdir(parents=True)
    (foreign / "tower").write_text("of nobody")
    switch(project, "vectors")
    call(project, "dvc", "repro", "-q")
    assert set(remove_leftovers(project)) == {tower.parent, foreign}
    assert tower.read_text() == "trained on by hand"
    assert (foreign / "tower").exists()
    assert "tower@image" in stages(project)
    assert "tower@audio" not in stages(project)


def test_the_command_names_what_stays(project: Path) -> None:
    (project / "data/towers/others").mkdir(parents=True)
    (project / "data/towers/others/x.bin").write_text("of nobody")
    said = call(project, "python", "-m", "flows.leftovers")
    assert said == "note: data/towers/others/x.bin belongs to another data set and is not in DVC's cache, so it stays\n"
