"""What DVC records of a stage is what it ran with, or the stage fails."""

import os
from contextlib import ExitStack
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from stages import _recorded
from tests.conftest import ROOT
from umemma.errors import ParameterError

PIPELINE = """
stages:
  fuse: {cmd: x, params: [fuse, dataset.name]}
  decode:
    foreach: ${dataset.modalities}
    do: {cmd: x, params: ['dataset.modalities.${key}.decode', limits]}
  admit: {cmd: x}
"""
PARAMETERS = {
    "fuse": {"lr": 0.1},
    "dataset": {"name": "ink", "modalities": {"a": {"decode": 1}}},
    "limits": {"max_px": 3},
    "seed": 0,
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("dvc.yaml").write_text(PIPELINE)
    write({})
    return tmp_path


def write(changes):
    YAML(typ="safe").dump(PARAMETERS | changes, Path("params.yaml"))


@pytest.mark.parametrize(
    ("stage", "changes", "named"),
    [
        ("fuse", {"fuse": {"lr": 0.2}}, "fuse"),
        ("fuse", {"dataset": PARAMETERS["dataset"] | {"name": "digits"}}, r"dataset\.name"),
        ("fuse", {"fuse": None, "dataset": None}, r"fuse, dataset\.name"),
        ("decode@a", {"dataset": {"name": "ink", "modalities": {"a": {"decode": 2}}}}, r"dataset\.modalities"),
        ("fuse", {"seed": 1}, None),
        ("decode@a", {"fuse": {}}, None),
        ("admit", {"fuse": {}}, None),
        ("", {"fuse": {}}, None),
    ],
)
def test_a_stage_fails_if_a_parameter_that_is_recorded_of_it_changes_while_it_runs(
    folder, monkeypatch, stage, changes, named
):
    monkeypatch.setenv("DVC_STAGE", stage)
    with ExitStack() as stack:
        if named:
            stack.enter_context(pytest.raises(ParameterError, match=rf"while this stage ran.*branch: {named}\. DVC"))
        with _recorded.as_it_began():
            write(changes)


def test_parameters_half_written_when_a_stage_ends_are_no_reason_to_believe_it(folder, monkeypatch):
    monkeypatch.setenv("DVC_STAGE", "fuse")
    with pytest.raises(ParameterError, match=r"params\.yaml cannot be read"), _recorded.as_it_began():
        Path("params.yaml").write_text("fuse: {lr: [")


def test_every_declared_parameter_of_the_pipeline_is_watched(monkeypatch):
    monkeypatch.chdir(ROOT)
    stages = YAML(typ="safe").load(Path("dvc.yaml").read_text())["stages"]
    watched = {}
    for stage in stages:
        monkeypatch.setitem(os.environ, "DVC_STAGE", f"{stage}@image")
        watched[stage] = _recorded.recorded()
    assert {"seed", "fuse"} <= watched["fuse"].keys()
    assert "dataset.modalities" in watched["pretrain"]
    assert watched["admit"] == {}
