"""Untrusted parameters, run end to end as a user would: nothing in them may be executed."""

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.conftest import run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(checkout):
    return checkout()


def changed_parameters(project: Path, change: str, name: str) -> None:
    path = project / "params.yaml"
    content = YAML(typ="safe").load(path.read_text())
    if change == "modality":
        content["dataset"]["modalities"][name] = content["dataset"]["modalities"].pop("audio")
    else:
        content["dataset"]["name"] = name
    with path.open("w") as file:
        YAML().dump(content, file)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ("modality", "audio;touch F"),
        ("modality", "x$(touch F)"),
        ("modality", "x`touch F`"),
        ("dataset", "x$(touch F)"),
        ("dataset", "../x;touch F"),
    ],
)
def test_a_name_in_a_branchs_parameters_never_runs(project, change, name):
    (project / "data/shards").mkdir(exist_ok=True)  # what `decode` waits for, so that DVC starts it
    (project / "data/gates").mkdir(exist_ok=True)
    (project / "data/gates/shards.json").touch()
    changed_parameters(project, change, name)
    try:
        for stages in ([], ["--single-item", f"decode@{name}" if change == "modality" else "decode"]):
            done = run(project, "dvc", "--wait-for-lock", "repro", *stages)
            assert done.returncode != 0
            assert not (project / "F").exists(), done.stdout + done.stderr
    finally:
        (project / "F").unlink(missing_ok=True)
        run(project, "git", "checkout", "-q", "params.yaml")


@pytest.mark.parametrize(
    "command",
    [["dvc", "--wait-for-lock", "exp", "run"], ["dvc", "exp", "run", "--queue"], ["python", "-m", "flows.pipeline"]],
    ids=lambda command: command[-1],
)
@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["format=1", "fuse.missing_rate=1.2"], r"fuse\.missing_rate is 1\.2"),
        (["format=1", "dataset.name=../../x"], r"dataset\.name is '\.\./\.\./x': must be a plain name"),
        (["format=1", "arm=${oc.env:SECRET}"], r"oc\.env"),
    ],
)
def test_a_bad_override_is_refused_before_anything_is_written(project, command, overrides, sentence):
    words = [word for override in overrides for word in ("-S", override)]
    done = run(project, *command, *words, environment={"SECRET": "hunter2"})
    assert done.returncode != 0
    assert re.search(sentence, done.stdout + done.stderr), done.stdout + done.stderr
    assert "hunter2" not in done.stdout + done.stderr
    assert "Running stage" not in done.stdout
    assert run(project, "git", "diff", "--stat").stdout == ""
