"""The benchmark: figures by hand on made-up predictions, who is ahead, and the table's place in a page."""

import dataclasses
import sys

import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from flows.benchmark import PREDICTIONS, _over
from flows.benchmark_table import BEGIN, END, lines_of, replaced, summary, written
from tests.test_flows import call, nothing_left
from umemma.errors import DataError, ParameterError
from umemma.evaluation.benchmark import rows
from umemma.evaluation.comparison import Model
from umemma.missingness import patterns
from umemma.prediction.predictions import Predictions

NAMES = ("a", "b", "c", "d")


def model(name, share_right, *, label=None, num=200, present=None, seed=0, groups=None):
    """A model that is right about the first `share_right` of the samples, whatever is present."""
    label = torch.arange(num) % 2 if label is None else label
    right = torch.arange(num) < share_right * num
    logits = torch.nn.functional.one_hot(torch.where(right, label, 1 - label), 2).float() * 3
    everything = {pattern: logits for pattern in [*patterns(len(NAMES)), (False,) * len(NAMES)]}
    present = torch.ones(num, len(NAMES), dtype=torch.bool) if present is None else present
    group = torch.arange(num) if groups is None else groups
    part = Predictions(NAMES, present, label, group, torch.arange(num), everything)
    return Model(name, name, seed, None, None, {"val": part, "test": part})


def run(ours=0.9, linear=0.7, trees=0.8, specialist=0.9, **settings):
    shares = {"ours": ours, "linear": linear, "trees": trees, "specialist": specialist}
    return {name: model(name, share, **settings) for name, share in shares.items()}


def test_everything_each_alone_and_half_of_four_are_rows_with_the_share_that_is_right():
    found = rows([run()])
    assert [row.present for row in found] == ["everything", *NAMES, "2 of 4, mean of 6 sets"]
    for row in found:
        assert row.metric == "accuracy"
        assert row.mean == pytest.approx({"ours": 0.9, "linear": 0.7, "trees": 0.8, "specialist": 0.9})
        assert (row.rival, row.verdict) == ("trees", "ahead")
        assert row.difference["value"] == pytest.approx(0.1)
        assert row.difference["low"] == pytest.approx(0.1 - 1.96 * (0.1 * 0.9 / 200) ** 0.5, abs=0.01)


def test_a_model_is_behind_or_level_by_the_interval_and_few_groups_widen_it():
    assert rows([run(ours=0.7)])[0].verdict == "behind"
    assert rows([run(ours=0.805)])[0].verdict == "level"
    few = rows([run(ours=0.83, groups=torch.arange(200) // 40)])[0]
    assert few.num_groups == 5
    assert few.difference["low"] < 0


def test_a_modality_alone_is_measured_where_it_is_and_everything_on_all_samples():
    present = torch.ones(200, len(NAMES), dtype=torch.bool)
    present[:100, 1] = False  # there ours is right, and wrong about 20 of the others
    by_name = {row.present: row for row in rows([run(present=present)])}
    assert (by_name["everything"].num_samples, by_name["b"].num_samples) == (200, 100)
    assert by_name["b"].mean["ours"] == pytest.approx(0.8)


def test_a_rare_class_is_scored_by_auroc_and_auprc():
    label = (torch.arange(200) % 10 == 0).long()
    found = rows([run(label=label)])
    assert [row.metric for row in found[:2]] == ["AUROC", "AUPRC"]
    logits = model("ours", 0.9, label=label).splits["test"].logits[(True,) * len(NAMES)]
    expected = (
        roc_auc_score(label, logits[:, 1] - logits[:, 0]),
        average_precision_score(label, logits[:, 1] - logits[:, 0]),
    )
    assert [row.mean["ours"] for row in found[:2]] == pytest.approx(expected)


def test_runs_are_averaged_with_their_spread_and_other_samples_in_one_run_are_an_error():
    first, second = run(ours=0.9), run(ours=0.8)
    row = rows([first, second])[0]
    assert row.mean["ours"] == pytest.approx(0.85)
    assert row.spread["ours"] == pytest.approx(0.1 / 2**0.5)
    part = dataclasses.replace(second["trees"].splits["test"], key=torch.arange(200) + 1)
    second["trees"] = dataclasses.replace(second["trees"], splits={"val": part, "test": part})
    with pytest.raises(DataError, match="only predictions on the same samples"):
        rows([second])


def test_the_table_takes_the_place_of_the_last_one_and_nothing_else():
    found = {"digits": rows([run()]), "grid": rows([run(ours=0.6)])}
    text = written(found, "seed=0; at abc", {"avmnist": "no files"}, "")
    assert text.startswith(summary(lines_of(found)))
    assert "\n- `digits`, `grid`: seed=0; at abc\n" in text
    assert "on 1 of 2 data sets (digits)" in text
    assert "Behind by more than the interval: grid (everything), grid (a)" in text
    assert "| `digits` | everything | 200 | accuracy | 90.0 | 70.0 | 80.0 | 90.0 | +10.0 (" in text
    assert "Not run: `avmnist` (no files)." in text
    page = replaced(f"# Title\n\n{BEGIN}\nold\n{END}\n\nThe end.\n", text)
    assert page == f"# Title\n\n{BEGIN}\n{text}\n{END}\n\nThe end.\n"
    assert replaced(page, text) == page


def test_rows_of_data_sets_that_were_not_run_stay_with_what_they_are_of():
    page = replaced("", written({"digits": rows([run()]), "grid": rows([run(ours=0.6)])}, "seed=0; at abc", {}, ""))
    page = replaced(page, written({"grid": rows([run(ours=0.85)])}, "seed=1; at def", {}, page))
    assert "on 2 of 2 data sets (digits, grid). Behind by more than the interval: nowhere." in page
    assert page.count("| `grid` | everything |") == page.count("| `digits` | everything |") == 1
    assert "- `digits`: seed=0; at abc\n- `grid`: seed=1; at def" in page


def test_a_key_without_values_is_named():
    assert _over([]) == [()]
    assert _over(["dataset.options.split", "1", "2"]) == [("dataset.options.split=1",), ("dataset.options.split=2",)]
    with pytest.raises(ParameterError, match=r"--over seed: give values"):
        _over(["seed"])


STEP = """
import os, pathlib, sys, yaml
from tests.test_benchmark import PREDICTED, run
from umemma.prediction import predictions
params = yaml.safe_load(pathlib.Path("params.yaml").read_text())
with open(pathlib.Path(os.environ["DVC_ROOT"], ".dvc/tmp/log"), "a") as log:
    log.write(f"{params['dataset']['name']} {params['seed']}\\n")
if params["dataset"]["name"] == "broken":
    sys.exit("ERROR: no such file")
for name, model in run(ours=0.8 + params["seed"] / 10).items():
    path = pathlib.Path(PREDICTED[name])
    path.parent.mkdir(parents=True, exist_ok=True)
    predictions.write(path, model.splits, {"arm": name, "seed": 0, "missing_rate": None, "budget": None, "fingerprint": ""})
pathlib.Path("data/reports").mkdir(exist_ok=True)
pathlib.Path("data/reports/report.html").write_text("made")
"""
PREDICTED = {name: str(path) for name, path in PREDICTIONS.items()}
FILES = {
    "dvc.yaml": "stages: {all: {cmd: python step.py, deps: [step.py], params: [seed, dataset],"
    " outs: [data/predictions, data/reference, data/baselines, data/reports/report.html]}}",
    "step.py": STEP,
    "conf/config.yaml": "defaults: [_self_, {dataset: good}]\nseed: 0\nbaselines: [linear, trees]\n",
    "conf/dataset/good.yaml": "name: good\n",
    "conf/dataset/broken.yaml": "name: broken\n",
    ".gitignore": "/data/\n",
    "params.yaml": "seed: 7\ndataset: {name: mine}\n",
}


@pytest.mark.slow
def test_data_sets_run_in_worktrees_are_not_run_again_and_a_broken_one_stops_no_other(tmp_path):
    for path, text in FILES.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    for command in (
        "git init -q -b main",
        "dvc init -q",
        "dvc config hydra.enabled true",
        "git add .",
        "git commit -q -m toy",
    ):
        call(tmp_path, *command.split())
    command = [
        sys.executable,
        "-m",
        "flows.benchmark",
        "--datasets",
        "broken",
        "good",
        "--seeds",
        "0",
        "1",
        "--output",
        "b.md",
    ]
    log = tmp_path / ".dvc/tmp/log"
    said = call(tmp_path, *command, "--set", "baselines=[trees]", code=2)
    assert "baselines: linear left out; a benchmark compares with [linear, trees]" in said
    assert not log.exists()
    said = call(tmp_path, *command, code=1)
    assert "ERROR: no such file" in said
    page = (tmp_path / "b.md").read_text()
    assert "| `good` | everything | 200 | accuracy | 85.0 ± 7.1 | 70.0 ± 0.0 |" in page
    assert "Not run: `broken` (ERROR: no such file)." in page
    assert log.read_text().splitlines() == ["broken 0", "good 0", "good 1"]
    call(tmp_path, *command[:4], *command[5:])
    assert log.read_text().splitlines() == ["broken 0", "good 0", "good 1"], "what is done comes from the cache"
    assert nothing_left(tmp_path)
    assert (tmp_path / "params.yaml").read_text() == FILES["params.yaml"]
    assert call(tmp_path, "git", "status", "--porcelain").strip() == "?? b.md"
