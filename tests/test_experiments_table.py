"""The table of experiments: narrow, with the parameters that were set, and shown even before the first run."""

import copy
import hashlib
import json
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from flows.experiments_table import WIDTH, Entry, entries, settings, table
from tests.conftest import ROOT
from tests.page_sample import FOUR, TWO, sample
from umemma.composition import composed
from umemma.reporting.tables import headline

CONF = ROOT / "conf"


def parameters(*overrides: str) -> dict:
    return composed(CONF, overrides)


def entry(name: str, *overrides: str, kind=TWO, several: bool = False, baseline: str = "") -> Entry:
    return Entry(name, baseline, parameters(*overrides), headline(sample(kind, several=several)[0]))


def test_the_headline_is_of_the_fullest_set_the_worst_modality_and_the_mean_over_sets():
    for several, score in ((False, "accuracy"), (True, "f1_micro")):
        results = sample(TWO, several=several)[0]
        rows = {name: getattr(row, score) for name, row in results.patterns.items()}
        item, *ranked = headline(results).items()
        assert item[0] == score
        assert [(name, set(figures)) for name, figures in ranked] == [
            (name, {"all", "worst_single", "mean"}) for name in ("auroc", "auprc")
        ]
        assert ranked[0][1]["all"] == results.patterns["image+audio"].auroc
        assert item[1]["patterns"] == rows
        assert item[1]["all"] == rows["image+audio"]
        assert item[1]["worst_single"] == min(rows["image"], rows["audio"])
        assert item[1]["mean"] == pytest.approx(sum(rows.values()) / 3, abs=1e-6)


def test_what_was_set_is_what_differs_from_conf_for_the_data_set():
    overrides = settings(entry("a", "dataset=avmnist", "seed=3", "arm=joint", "fuse.missing_rate=0.25"), CONF)
    assert overrides == ["dataset=avmnist", "seed=3", "fuse.missing_rate=0.25"]
    assert settings(entry("b"), CONF) == []
    mapping = copy.deepcopy(parameters())
    mapping["fuse"]["missing_rate"] = {"image": 0.2}
    assert settings(Entry("c", "", mapping, {}), CONF) == ["fuse.missing_rate={image: 0.2}"]
    mapping["dataset"]["name"] = "gone"
    assert settings(Entry("d", "", mapping, {}), CONF) == ["dataset=gone"]


def test_the_table_is_no_wider_than_it_says_and_loses_no_setting():
    overrides = [f"fuse.{key}" for key in ("missing_rate=0.125", "epochs=31.5", "batch_size=77", "lr=0.123")]
    rows = [
        entry("workspace"),
        entry("a-name-that-is-longer-than-any-column-should-be", *overrides, baseline="0123abc"),
        entry("four", "arm=joint+mma", kind=FOUR),
    ]
    text = table(rows, CONF)
    assert max(map(len, text.splitlines())) <= WIDTH
    assert all(override in text for override in overrides)
    assert f"{100 * rows[0].figures['all']:.1f}" in text
    two = table(rows[:1], CONF).splitlines()
    assert two[0].split() == ["experiment", "arm", "all", "worst", "mean", "image", "audio", "set"]
    shown = [rows[0].figures[key] for key in ("all", "worst_single", "mean")]
    shown += [rows[0].figures["patterns"][name] for name in ("image", "audio")]
    assert two[1].split() == ["workspace", "frozen", *(f"{100 * value:.1f}" for value in shown)]


def test_experiments_are_read_from_git_on_any_commit_and_a_project_without_any_has_the_workspace(tmp_path: Path):
    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=tmp_path, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def commit(name: str) -> str:
        git("add", "-A")
        git("-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", name)
        return git("rev-parse", "HEAD")

    git("init", "-q", "-b", "main")
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").touch()
    (tmp_path / ".gitignore").write_text("/.dvc/cache\n")
    with (tmp_path / "params.yaml").open("w") as file:
        YAML().dump(parameters(), file)
    first = commit("first")
    (row,) = entries(tmp_path)
    assert (row.name, row.metrics) == ("workspace", {})
    assert table([row], CONF).splitlines()[1].split() == ["workspace", "frozen"]
    for name, value, base in (("old", 0.5, first), ("new", 0.75, None)):
        metrics = {"accuracy": {"all": value, "worst_single": None, "mean": value, "patterns": {"image": value}}}
        text = json.dumps(metrics)
        digest = hashlib.md5(text.encode()).hexdigest()
        cached = tmp_path / ".dvc/cache/files/md5" / digest[:2] / digest[2:]
        cached.parent.mkdir(parents=True)
        cached.write_text(text)
        entry = f"    outs:\n    - path: data/reports/metrics.json\n      hash: md5\n      md5: {digest}\n"
        (tmp_path / "dvc.lock").write_text(f"schema: '2.0'\nstages:\n  evaluate:\n{entry}")
        revision = commit(name)
        on = base or revision
        git("update-ref", f"refs/exps/{on[:2]}/{on[2:]}/{name}", revision)
    git("update-ref", "refs/exps/exec/EXEC_HEAD", first)
    git("update-ref", "refs/exps/aa/" + "b" * 38 + "/without-metrics", first)
    rows = {row.name: row for row in entries(tmp_path)}
    assert list(rows)[:3] == ["workspace", "baseline", "new"]
    assert rows.keys() == {"workspace", "baseline", "new", "old", "without-metrics"}
    assert rows["baseline"].figures == rows["new"].figures
    assert rows["old"].baseline == first[:7]
    assert [rows[name].figures.get("all") for name in ("old", "new", "without-metrics")] == [0.5, 0.75, None]


def test_the_workspace_has_figures_only_of_a_run_with_its_parameters(tmp_path: Path):
    for command in (
        ["git", "init", "-q"],
        ["git", "-c", "user.name=t", "-c", "user.email=t@e.org", "commit", "-qm", "first", "--allow-empty"],
    ):
        subprocess.run(command, cwd=tmp_path, check=True)
    content = parameters()
    (tmp_path / "data/reports").mkdir(parents=True)
    (tmp_path / "data/reports/metrics.json").write_text('{"accuracy": {"all": 0.5}}')
    run = {"params": {"params.yaml": {"fuse": content["fuse"], "seed": 0, "dataset.modalities.poster": {"epochs": 1}}}}
    with (tmp_path / "dvc.lock").open("w") as file:
        YAML().dump({"schema": "2.0", "stages": {"fuse": run}}, file)
    for rate, expected in ((content["fuse"]["missing_rate"], 0.5), (0.3, None)):
        with (tmp_path / "params.yaml").open("w") as file:
            YAML().dump(content | {"fuse": content["fuse"] | {"missing_rate": rate}}, file)
        assert next(entries(tmp_path)).figures.get("all") == expected
