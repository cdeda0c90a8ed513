"""`make grow`: an earlier model becomes the base of a run, below data/base and under DVC; nothing to change is an error."""

import json
import shutil
import subprocess

import pytest
from ruamel.yaml import YAML

from flows.grow import grow
from tests import served_sample
from tests.conftest import ROOT
from umemma import parameters
from umemma.errors import ParameterError
from umemma.models import base_model

MODALITIES = {
    "photo": {"decode": {"name": "image", "size_px": 8}, "encoder": {"name": "lenet", "width": 4, "dim": 5}},
    "body": {"decode": {"name": "vector"}, "encoder": {"name": "mlp", "width": 8, "dim": 6}},
    "note": {"decode": {"name": "words", "length": 12, "buckets": 50}, "encoder": {"name": "bag_of_words", "dim": 7}},
    "pulse": {"decode": {"name": "vector"}, "encoder": {"name": "mlp", "width": 8, "dim": 6}},
}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    return served_sample.made(tmp_path_factory.mktemp("pets"))


@pytest.fixture
def project(tmp_path):
    """A project of its own with a data set `pets` of four modalities, one more than the model has."""
    home = tmp_path / "project"
    home.mkdir()
    shutil.copytree(ROOT / "conf", home / "conf")
    for command in (["git", "init", "-q"], ["dvc", "init", "-q"]):
        subprocess.run(command, cwd=home, check=True)
    written(home, list(MODALITIES))
    return home


def written(home, names) -> None:
    dataset = {"name": "pets", "adapter": "table", "root": None, "sources": {}, "options": {"file": "pets.csv"}}
    modalities = {name: {**MODALITIES[name], "epochs": 1} for name in names}
    dataset |= {"task": "single_label", "classes": ["cat", "dog", "owl"], "modalities": modalities}
    dataset["early"] = {"name": "mlp", "width": 8, "dim": 6}
    with open(home / "conf/dataset/pets.yaml", "w") as file:
        file.write("# @package _global_\n")
        YAML().dump({"dataset": dataset}, file)


def test_the_model_is_kept_by_dvc_and_the_run_starts_from_it(project, served):
    said: list[str] = []
    base = grow(project, str(served.folder), ["dataset=pets"], said.append)
    assert said[1:] == ["added: pulse"]
    assert "photo, body, note" in said[0]
    digest = json.loads((base / "base.json").read_text())["digest"]
    assert base == project / "data/base" / digest[:12]
    assert base.with_name(base.name + ".dvc").is_file()
    settings = parameters.read(project / "params.yaml")
    assert (settings.arm, settings.base) == ("grown", f"data/base/{digest[:12]}")
    decode = {name: one["decode"] for name, one in MODALITIES.items()}
    model = base_model.read(base, classes=["cat", "dog", "owl"], decode=decode)
    assert list(model.parts()) == ["photo", "body", "note"]
    grow(project, str(served.folder), ["dataset=pets"], said.append)  # the same command again


def test_a_modality_that_the_data_set_lacks_is_retired(project, served):
    said: list[str] = []
    grow(
        project,
        str(served.folder),
        ["dataset=pets", "~dataset.modalities.pulse", "~dataset.modalities.body"],
        said.append,
    )
    assert said[1:] == ["retired: body"]


def test_nothing_to_add_or_to_retire_is_an_error_that_says_what_to_do(project, served):
    written(project, list(MODALITIES)[:3])
    with pytest.raises(
        ParameterError, match=r"nothing to add or to retire. Put what is new behind them in conf/dataset/"
    ):
        grow(project, str(served.folder), ["dataset=pets"])
    assert not (project / "data/base").exists()


def test_a_model_without_a_network_for_each_modality_is_refused(project, tmp_path):
    early = served_sample.made(tmp_path / "early", kind="early")
    with pytest.raises(ParameterError, match="only a model of late fusion can be grown"):
        grow(project, str(early.folder), ["dataset=pets"])


def test_arm_and_base_belong_together():
    content = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
    with pytest.raises(ParameterError, match="grown starts from an earlier model: make grow MODEL="):
        parameters.check(content | {"arm": "grown"}, "params.yaml")
    with pytest.raises(ParameterError, match="only arm grown starts from an earlier model; set base=data/base/none"):
        parameters.check(content | {"base": "data/base/0123456789ab"}, "params.yaml")
    with pytest.raises(ParameterError, match="must be data/base/none, or a folder below data/base"):
        parameters.check(content | {"base": "../elsewhere", "arm": "grown"}, "params.yaml")
