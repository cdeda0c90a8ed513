"""The whole pipeline as users run it, on a fresh checkout with the default data set and short training."""

import json
import os
import re
import sqlite3
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.conftest import ROOT, run
from tests.trees import GENUINE
from umemma.missingness import pattern_name
from umemma.sources import synthetic_distribution

pytestmark = pytest.mark.slow
RESULTS = Path("data/reports/robustness.json")
AFTER_FUSION = ["evaluate", "account", "report", "gate"]


def ran(output: str) -> list[str]:
    return re.findall(r"Running stage '([^']+)'", output)


def shortened(folder: Path) -> Path:
    """Make training short in the checkout's own conf/, so that experiments are short too."""
    for path, old, new in [
        ("conf/dataset/digits.yaml", r"epochs: \d+", "epochs: 4"),
        ("conf/config.yaml", r"epochs: \d+", "epochs: 2"),
    ]:
        text = (folder / path).read_text()
        (folder / path).write_text(re.sub(old, new, text))
    assert run(folder, "python", "-m", "umemma.composition", "write").returncode == 0
    run(folder, "git", "commit", "-qam", "short")
    return folder


@pytest.fixture(scope="module")
def project(checkout):
    folder = shortened(checkout())
    done = run(folder, "dvc", "--wait-for-lock", "repro")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_pattern_is_in_the_results_and_the_table(project):
    results = json.loads((project / RESULTS).read_text())
    assert list(results["patterns"]) == ["image+audio", "image", "audio"]
    assert results["dataset"]["n"] == {"train": 1078, "val": 270, "test": 449}
    assert (results["arm"], results["seed"]) == ("frozen", 0)
    table = run(project, "python", "-m", "stages.report", "--show").stdout
    assert all(f"{row['accuracy']:.4f}" in table for row in results["patterns"].values())
    assert "data: 1,797 of 1,797 samples used, 0 in quarantine" in table


def test_a_second_run_runs_nothing(project):
    again = run(project, "dvc", "--wait-for-lock", "repro")
    assert ran(again.stdout) == []
    assert "up to date" in again.stdout


def test_the_flow_gives_the_same_lock_and_results_byte_for_byte(project, checkout):
    other = shortened(checkout())
    flow = run(other, "python", "-m", "flows.pipeline")
    assert flow.returncode == 0, flow.stdout + flow.stderr
    assert (other / RESULTS).read_bytes() == (project / RESULTS).read_bytes()
    assert YAML(typ="safe").load(other / "dvc.lock") == YAML(typ="safe").load(project / "dvc.lock")
    assert ran(run(other, "dvc", "--wait-for-lock", "repro").stdout) == []


def test_another_missing_rate_reruns_fusion_and_what_follows_and_going_back_runs_nothing(project):
    before = (project / RESULTS).read_bytes()
    changed = run(project, "dvc", "--wait-for-lock", "exp", "run", "-S", "fuse.missing_rate=0.25")
    assert ran(changed.stdout) == ["fuse", *AFTER_FUSION], changed.stdout + changed.stderr
    back = run(project, "dvc", "--wait-for-lock", "exp", "run", "-S", "fuse.missing_rate=0.5")
    assert ran(back.stdout) == []
    assert (project / RESULTS).read_bytes() == before
    assert run(project, "git", "diff", "--stat", "params.yaml").stdout == ""


def test_a_baseline_below_its_towers_is_a_finding_and_an_experiment(project):
    done = run(project, "dvc", "--wait-for-lock", "exp", "run", "-n", "weak", "-S", "arm=joint")
    assert done.returncode == 0, done.stdout + done.stderr
    sentence = r"joint, \w+: accuracy 0\.\d+, tower \w+ 0\.\d+"
    assert re.search(
        f"FINDING never below the uni-modal model, which this arm does not promise: {sentence}", done.stdout
    )
    assert re.search(sentence, (project / "data/reports/report.html").read_text())
    assert "weak" in run(project, "dvc", "exp", "list", "--name-only").stdout.split()
    run(project, "git", "checkout", "-q", "params.yaml")
    assert run(project, "dvc", "--wait-for-lock", "repro").returncode == 0


def test_another_encoder_retrains_its_tower_only(project):
    changed = run(project, "dvc", "--wait-for-lock", "exp", "run", "-S", "dataset.modalities.image.encoder.width=8")
    assert ran(changed.stdout) == ["frozen", "pretrain@image", "fuse", "reference", *AFTER_FUSION]
    assert run(project, "dvc", "--wait-for-lock", "exp", "run").returncode == 0


@pytest.mark.skipif(not (GENUINE / "weights").is_dir(), reason="no ../shared/data/weights here")
def test_a_pre_trained_encoder_is_swapped_in_by_one_override(project):
    swap = "dataset.modalities.image.encoder=${encoder:squeezenet}"
    environment = {"UMEMMA_DATA": str(GENUINE.resolve())}
    changed = run(project, "dvc", "--wait-for-lock", "exp", "run", "-S", swap, environment=environment)
    assert ran(changed.stdout) == ["frozen", "encode@image", "pretrain@image", "fuse", "reference", *AFTER_FUSION]
    assert "512 features of torchvision:squeezenet1_0" in changed.stdout
    assert run(project, "dvc", "--wait-for-lock", "exp", "run").returncode == 0


def test_a_run_is_in_mlflow_with_its_data_and_each_training_as_a_part(project):
    with sqlite3.connect(project / ".mlflow/mlflow.db") as store:
        names = {row[0] for row in store.execute("select name from runs where status = 'FINISHED'")}
        digests = {row[0] for row in store.execute("select digest from datasets")}
        params = {row[0] for row in store.execute("select key from params")}
        curves = {row[0] for row in store.execute("select key from metrics")}
    store.close()
    assert names >= {"pretrain image", "pretrain audio", "fuse"}
    assert len(digests) == 1
    assert {"fuse.missing_rate", "pretrain.lr", "image.encoder.name"} <= params
    assert {"val_accuracy/image and audio", "train_loss"} <= curves
    assert list((project / ".mlflow/artifacts").rglob("model.safetensors"))


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("dataset=digit", "digit"),
        ("dataset.modalities.image.encoder.name=lennet", "no encoder called 'lennet'"),
        ("fuse.head=concatt", "no head called 'concatt'"),
        ("fuse.substitute=zeroes", "'none', 'zeros', 'train_mean', 'noise', 'donor' or 'learned'"),
        ("fuse.missing_rate=1.2", "fuse.missing_rate is 1.2"),
        ("arm=ume_mma", "arm is 'ume_mma'"),
        ("fuse.protocol=absent", "which modality is absent"),
        ("fuse.mising_rate=0.2", "mising_rate"),
        ("dataset.classes=[zero,one,two]", "label"),
    ],
)
def test_a_bad_override_ends_with_a_message_and_earlier_results_stay(project, override, sentence):
    before = (project / RESULTS).read_bytes()
    done = run(project, "dvc", "--wait-for-lock", "exp", "run", "-S", override)
    assert done.returncode != 0
    assert sentence in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert (project / RESULTS).read_bytes() == before
    if "classes" in override:  # only the data can tell
        run(project, "git", "checkout", "-q", "params.yaml")
    else:
        assert ran(done.stdout) == []
        assert run(project, "git", "diff", "--stat", "params.yaml").stdout == ""
    assert ran(run(project, "dvc", "--wait-for-lock", "repro").stdout) == []


@pytest.mark.parametrize("damage", ["flip", "cut"])
def test_a_damaged_shard_stops_decoding_and_dvc_restores_it(project, damage):
    shard = project / "data/shards/train-000000.tar"
    content = bytearray(shard.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 1
    shard.unlink()  # the file in DVC's cache may be the same one
    shard.write_bytes(content if damage == "flip" else content[: len(content) // 2 // 512 * 512])
    done = run(project, "python", "-m", "stages.decode", "image")
    assert done.returncode == 2
    assert "data/shards/train-000000.tar is damaged" in done.stderr
    assert run(project, "dvc", "--wait-for-lock", "repro").returncode == 0
    assert run(project, "python", "-m", "stages.decode", "image").returncode == 0


def test_a_raw_file_that_is_damaged_or_missing_is_named(project, tmp_path):
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist/train-images-idx3-ubyte.gz").write_bytes(b"cut")
    before = (project / RESULTS).read_bytes()
    done = run(
        project,
        "dvc",
        "--wait-for-lock",
        "exp",
        "run",
        "-S",
        "dataset=avmnist",
        environment={"UMEMMA_DATA": str(tmp_path)},
    )
    assert done.returncode != 0
    assert "mnist/train-images-idx3-ubyte.gz: sha256" in done.stderr
    assert "missing" in done.stderr
    assert (project / RESULTS).read_bytes() == before
    run(project, "git", "checkout", "-q", "params.yaml")


GENUINE = Path(os.environ.get("UMEMMA_DATA") or ROOT / "../shared/data").resolve()


@pytest.mark.skipif(not (GENUINE / "fsdd").is_dir(), reason="AV-MNIST's raw files are not on this machine")
def test_avmnist_runs_on_the_genuine_files_and_digits_come_back_from_the_cache(project):
    few = ["dataset.options.max_samples=300", "dataset.modalities.image.epochs=1", "dataset.modalities.audio.epochs=1"]
    done = run(
        project,
        "dvc",
        "--wait-for-lock",
        "exp",
        "run",
        "-S",
        "dataset=avmnist",
        *(f"-S{one}" for one in few),
        environment={"UMEMMA_DATA": str(GENUINE)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((project / RESULTS).read_text())
    assert results["dataset"]["name"] == "avmnist"
    assert results["dataset"]["n"] == {"train": 300, "val": 300, "test": 300}
    back = run(project, "dvc", "--wait-for-lock", "exp", "run", "-S", "dataset=digits")
    assert ran(back.stdout) == []
    assert json.loads((project / RESULTS).read_text())["dataset"]["name"] == "digits"


def test_what_is_estimated_of_synthetic_data_agrees_with_what_is_true(project):
    done = run(project, "dvc", "--wait-for-lock", "exp", "run", "-S", "dataset=synthetic")
    assert done.returncode == 0, done.stdout + done.stderr
    accounting = json.loads((project / "data/reports/accounting.json").read_text())
    options = YAML(typ="safe").load(project / "params.yaml")["dataset"]["options"]
    possible = {
        pattern_name(one, accounting["modalities"]): value
        for one, value in synthetic_distribution.bayes_accuracy(options).items()
        if any(one)
    }
    for name, row in accounting["information"].items():
        known = row["best_known"]
        assert known["value"] <= row["truth"] + (known["high"] - known["value"]), name
        assert known["value"] >= 0.95 * row["truth"] - 0.005, name
        assert row["floor"]["low"] <= possible[name] <= row["ceiling"]["high"] + 0.01, name
        assert accounting["metrics"][name]["accuracy"]["value"] <= row["ceiling"]["high"], name
    back = run(project, "dvc", "--wait-for-lock", "exp", "run", "-S", "dataset=digits")
    assert ran(back.stdout) == []
