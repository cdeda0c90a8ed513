"""Data that change in place: what counts as a change, and what `dvc repro` reruns."""

import os
import re
from pathlib import Path

import numpy as np
import pytest

from stages.watch import watch
from tests.conftest import ROOT, run
from tests.table_sample import adapter, plain_rows, png, write_table
from umemma import composition, parameters
from umemma.data.settings import Dataset
from umemma.errors import ParameterError
from umemma.files import read_json
from umemma.sources import build, changes

CONF = """# @package _global_
dataset:
  name: mine
  adapter: table
  root: {root}
  sources: {{}}
  watch: {{each_run: [mine], record: data/watched.json}}
  options:
    file: t.csv
    key: id
    label: label
    split: split
    modalities:
      pic: {{column: pic, kind: image}}
      numbers: {{columns: [a], kind: vector}}
  task: single_label
  classes: [cat, dog]
  modalities:
    pic:
      decode: {{name: image}}
      encoder: {{name: lenet}}
      epochs: 1
    numbers:
      decode: {{name: vector}}
      encoder: {{name: mlp}}
      epochs: 1
  early: {{name: mlp}}
"""


def pictured(folder: Path, count: int = 9) -> Path:
    """Write a table of a picture and a number for every row; the last picture is listed but missing."""
    rng = np.random.default_rng(0)
    rows = plain_rows(count)
    for i, row in enumerate(rows):
        row |= {"pic": f"{i}.png", "a": i}
        (folder / f"{i}.png").write_bytes(png(rng, side_px=8))
    (folder / f"{count - 1}.png").unlink()
    return write_table(folder / "t.csv", rows)


def state(path: Path) -> dict[str, object]:
    modalities = {"pic": {"column": "pic", "kind": "image"}, "note": {"column": "note", "kind": "text"}}
    return changes.state(adapter(path, modalities=modalities), path.parent.resolve())


def edit_table(folder: Path) -> None:
    path = folder / "t.csv"
    path.write_text(path.read_text().replace("cat", "dog", 1))


CHANGES = {
    "a corrected label": edit_table,
    "a file replaced": lambda folder: (folder / "3.png").write_bytes(b"other"),
    "a file of the same size and a new time": lambda folder: os.utime(folder / "3.png", (1, 1)),
    "a file gone": lambda folder: (folder / "3.png").unlink(),
    "a file that was missing": lambda folder: (folder / "8.png").write_bytes(b"here"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_a_sample_changes_the_state(tmp_path, change):
    path = pictured(tmp_path)
    before = state(path)
    assert before == state(path)
    assert (list(before["lists"]), before["files"]) == (["t.csv"], 8)
    CHANGES[change](tmp_path)
    assert state(path) != before


def test_what_no_sample_is_made_from_changes_nothing_nor_does_a_table_saved_unchanged(tmp_path):
    path = pictured(tmp_path)
    before = state(path)
    (tmp_path / "other.png").write_bytes(b"unused")
    os.utime(path, (1, 1))
    assert state(path) == before


def test_the_state_does_not_say_where_the_data_lie(tmp_path):
    (tmp_path / "one").mkdir()
    path = pictured(tmp_path / "one")
    before = state(path)
    (tmp_path / "one").rename(tmp_path / "two")
    (tmp_path / "link").symlink_to(tmp_path / "two")
    assert state(tmp_path / "two/t.csv") == before
    assert state(tmp_path / "link/t.csv") == before


def test_a_path_that_leads_out_of_the_root_is_not_even_looked_at(tmp_path):
    rows = [row | {"pic": "/etc/hostname.png"} for row in plain_rows()]
    assert state(write_table(tmp_path / "t.csv", rows))["files"] == 0


def dataset(tmp_path: Path, text: str) -> Dataset:
    conf = tmp_path / "conf"
    (conf / "dataset").mkdir(parents=True)
    (conf / "config.yaml").write_text((ROOT / "conf/config.yaml").read_text())
    (conf / "dataset/mine.yaml").write_text(text)
    return parameters.check(composition.composed(conf, ["dataset=mine"]), "conf").dataset


def test_the_stage_writes_the_state_of_the_data_set_that_the_parameters_name(tmp_path, capsys):
    (tmp_path / "data").mkdir()
    pictured(tmp_path / "data")
    watch(dataset(tmp_path, CONF.format(root=tmp_path / "data")), tmp_path / "watched.json")
    record = read_json(tmp_path / "watched.json")
    assert (record["dataset"], record["files"]) == ("mine", 8)
    assert capsys.readouterr().out == "mine: t.csv and 8 files\n"


def test_an_adapter_is_given_the_classes_and_the_task_and_must_have_the_modalities(tmp_path):
    (tmp_path / "data").mkdir()
    pictured(tmp_path / "data")
    good = CONF.format(root=tmp_path / "data")
    made = build.built(dataset(tmp_path / "a", good), tmp_path / "data")
    assert made.classes == ("cat", "dog")
    with pytest.raises(ParameterError, match=r"dataset\.options\.classes is no option; set dataset\.classes"):
        build.built(dataset(tmp_path / "b", good.replace("key: id", "classes: [a, b]")), tmp_path / "data")
    other = good.replace("numbers: {columns", "number: {columns")
    with pytest.raises(ParameterError, match=r"dataset\.modalities: .*'numbers'; there are number, pic"):
        build.built(dataset(tmp_path / "c", other), tmp_path / "data")


def test_a_data_set_without_anything_to_look_at_says_so(tmp_path):
    with pytest.raises(ParameterError, match=r"dataset\.watch\.each_run must be \[\]"):
        changes.state(object(), tmp_path)


@pytest.mark.slow
def test_dvc_repro_sees_an_edited_table_and_a_replaced_file_and_nothing_else(checkout, tmp_path):
    pictured(tmp_path)
    project = checkout()
    (project / "conf/dataset/mine.yaml").write_text(CONF.format(root=tmp_path))
    text = (tmp_path / "t.csv").read_text()
    (tmp_path / "t.csv").write_text("\n".join(line for line in text.splitlines() if "8.png" not in line) + "\n")
    assert run(project, "python", "-m", "umemma.composition", "write", "dataset=mine").returncode == 0

    def ran() -> list[str]:
        done = run(project, "dvc", "--wait-for-lock", "repro", "prepare")
        assert done.returncode == 0, done.stdout + done.stderr
        return re.findall(r"Running stage '([^']+)'", done.stdout)

    assert set(ran()) == {"code", "fetch", "watch@mine", "prepare"}
    assert ran() == ["watch@mine"]
    edit_table(tmp_path)
    assert ran() == ["watch@mine", "prepare"]
    (tmp_path / "3.png").write_bytes((tmp_path / "4.png").read_bytes())
    assert ran() == ["watch@mine", "prepare"]
    (tmp_path / "unused.png").touch()
    assert ran() == ["watch@mine"]
    index = (project / "data/shards/index.json").read_bytes()
    os.utime(tmp_path / "3.png", (1, 1))
    assert ran() == ["watch@mine", "prepare"]
    assert (project / "data/shards/index.json").read_bytes() == index
    assert run(project, "python", "-m", "umemma.composition", "write", "dataset=digits").returncode == 0
    assert "watch@mine" not in ran()
