"""The whole pipeline as users run it, on a fresh checkout with the default data set and short training."""

import hashlib
import json
import re
import sqlite3
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.conftest import run
from tests.stages_here import run_stage
from tests.trees import GENUINE
from umemma.errors import DataError

pytestmark = pytest.mark.slow
RESULTS = Path("data/reports/robustness.json")
TAGS = ("mlflow.parentRunId", "umemma.run")
SECRETS = {
    name: f"canary-of-{name.lower()}"
    for name in ("MLFLOW_TRACKING_PASSWORD", "AWS_SECRET_ACCESS_KEY", "HF_TOKEN", "UMEMMA_TOKEN", "PGPASSWORD")
}
AFTER_FUSION = ["evaluate", "account", "export", "report", "gate"]


def ran(output: str) -> list[str]:
    return re.findall(r"Running stage '([^']+)'", output)


def shortened(folder: Path) -> Path:
    """Shorten training in the checkout's conf/, so that experiments are short too."""
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
    done = run(folder, "dvc", "--wait-for-lock", "repro", environment=SECRETS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not with_secrets(folder, done.stdout + done.stderr)
    return folder


def with_secrets(folder: Path, output: str) -> list[str]:
    """Return where a secret of the environment is: in the output, or in a file of all that is in the folder."""
    texts = {"the output": output.encode()}
    texts |= {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file() and not path.is_symlink()}
    return [name for name, text in texts.items() if any(secret.encode() in text for secret in SECRETS.values())]


def test_a_first_run_leaves_no_tracked_file_modified(project):
    assert run(project, "git", "status", "--porcelain").stdout == "?? dvc.lock\n"


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


def test_the_bench_measures_every_training_of_the_run_and_changes_nothing(project):
    benched = run(project, "python", "-m", "stages._bench")
    assert benched.returncode == 0, benched.stderr
    report = json.loads((project / "data/reports/bench.json").read_text())
    assert list(report["trainings"]) == ["pretrain@image", "pretrain@audio", "fuse"]
    assert all(0 < training["share"] < 1 for training in report["trainings"].values())
    assert report["plain"]["times_faster"] > 0
    assert all(name in benched.stdout for name in report["trainings"])
    again = run(project, "dvc", "--wait-for-lock", "repro")
    assert ran(again.stdout) == []


def test_the_flow_gives_the_same_lock_and_results_byte_for_byte(project, checkout):
    other = shortened(checkout())
    flow = run(other, "python", "-m", "flows.pipeline", environment=SECRETS)
    assert flow.returncode == 0, flow.stdout + flow.stderr
    assert (other / ".prefect/home").is_dir()
    assert not with_secrets(other, flow.stdout + flow.stderr)
    assert (other / RESULTS).read_bytes() == (project / RESULTS).read_bytes()
    assert YAML(typ="safe").load(other / "dvc.lock") == YAML(typ="safe").load(project / "dvc.lock")
    assert ran(run(other, "dvc", "--wait-for-lock", "repro").stdout) == []


def test_another_missing_rate_reruns_fusion_and_what_follows_and_going_back_runs_nothing(project):
    before = (project / RESULTS).read_bytes()
    changed = run(project, "dvc", "--wait-for-lock", "exp", "run", "-S", "fuse.missing_rate=0.25")
    assert ran(changed.stdout) == ["fuse", "heads", *AFTER_FUSION], changed.stdout + changed.stderr
    back = run(project, "dvc", "--wait-for-lock", "exp", "run", "-S", "fuse.missing_rate=0.5")
    assert ran(back.stdout) == []
    assert (project / RESULTS).read_bytes() == before
    assert run(project, "git", "diff", "--stat", "params.yaml").stdout == ""


def test_without_a_baseline_the_report_says_that_nothing_was_compared(project):
    asked = run(project, "dvc", "--wait-for-lock", "exp", "run", "-S", "baselines=[]")
    assert ran(asked.stdout) == ["baselines", *AFTER_FUSION], asked.stdout + asked.stderr
    left_out = "Not fitted to compare with: the baseline linear and the baseline trees."
    assert left_out in (project / "data/reports/report.html").read_text()
    back = run(project, "dvc", "--wait-for-lock", "exp", "run", "-S", "baselines=[linear]")
    assert ran(back.stdout) == []
    assert "The baseline linear" in (project / "data/reports/report.html").read_text()


def test_a_baseline_below_its_towers_is_a_finding_and_an_experiment(project):
    ruined = ["-S", "arm=ump", "-S", "fuse.tower_lr=0.03"]  # a rate at which towers forget what they knew
    done = run(project, "dvc", "--wait-for-lock", "exp", "run", "-n", "weak", *ruined)
    assert done.returncode == 0, done.stdout + done.stderr
    sentence = r"ump, \w+: accuracy 0\.\d+, tower \w+ 0\.\d+"
    assert re.search(
        f"FINDING never below the uni-modal model, which this arm does not promise: {sentence}", done.stdout
    )
    assert re.search(sentence, (project / "data/reports/report.html").read_text())
    assert "weak" in run(project, "dvc", "exp", "list", "--name-only").stdout.split()
    run(project, "git", "checkout", "-q", "params.yaml")
    assert run(project, "dvc", "--wait-for-lock", "repro").returncode == 0


def test_after_a_failed_gate_checkout_repro_and_experiments_go_on(project):
    before = (project / "data/reports/validation.json").read_bytes()
    failed = run(project, "dvc", "--wait-for-lock", "exp", "run", "-S", "validation.min_px=9")
    assert failed.returncode != 0
    assert "FAILED size_px: image" in failed.stdout
    assert ran(failed.stdout) == ["validate", "admit"]
    checkout = run(project, "dvc", "checkout")
    assert checkout.returncode == 0, checkout.stderr
    again = run(project, "dvc", "--wait-for-lock", "repro")
    assert (again.returncode != 0, ran(again.stdout)) == (True, ["admit"])
    next_one = run(project, "dvc", "--wait-for-lock", "exp", "run", "-S", "seed=0")
    assert (next_one.returncode, ran(next_one.stdout)) == (0, []), next_one.stdout + next_one.stderr
    assert (project / "data/reports/validation.json").read_bytes() == before
    assert run(project, "git", "status", "--porcelain").stdout == "?? dvc.lock\n"


def test_another_data_set_takes_the_place_of_the_old_one_stays_and_goes_without_a_trace(project):
    def files():
        return sorted(path.relative_to(project) for path in (project / "data").rglob("*") if path.is_file())

    def clear():
        done = run(project, "python", "-m", "flows.leftovers")
        assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr

    before, lock = files(), YAML(typ="safe").load(project / "dvc.lock")
    few = ["dataset.options.num_samples={train: 600, val: 300, test: 300}", "fuse.epochs=1"]
    few += [f"dataset.modalities.{name}.epochs=1" for name in "abc"]
    done = run(
        project, "dvc", "--wait-for-lock", "exp", "run", "-Sdataset=synthetic", *(f"-S{override}" for override in few)
    )
    assert done.returncode == 0, done.stdout + done.stderr
    clear()
    assert not [path for path in files() if "digits" in path.parts]
    assert not [name for name in YAML(typ="safe").load(project / "dvc.lock")["stages"] if name.endswith("@image")]
    assert "up to date" in run(project, "dvc", "status").stdout
    queued = run(project, "dvc", "exp", "run", "--queue", "-S", "seed=1")
    assert "note: the data set is synthetic, as before" in queued.stderr
    assert run(project, "dvc", "queue", "remove", "--all").returncode == 0
    back = run(project, "dvc", "--wait-for-lock", "exp", "run", "-S", "dataset=digits")
    assert ran(back.stdout) == []
    clear()
    assert (files(), YAML(typ="safe").load(project / "dvc.lock")) == (before, lock)


def test_another_encoder_retrains_its_tower_only_and_what_takes_the_tower(project):
    upto = ["fuse", "reference", "baselines"]
    changed = run(
        project, "dvc", "--wait-for-lock", "exp", "run", "-S", "dataset.modalities.image.encoder.width=8", *upto
    )
    assert ran(changed.stdout) == ["frozen", "pretrain@image", "fuse", "reference"], changed.stdout + changed.stderr
    assert run(project, "dvc", "--wait-for-lock", "exp", "run").returncode == 0


@pytest.mark.skipif(not (GENUINE / "weights").is_dir(), reason="no ../shared/data/weights here")
def test_a_pre_trained_encoder_is_swapped_in_by_one_override(project):
    swap = "dataset.modalities.image.encoder=${encoder:squeezenet}"
    environment = {"UMEMMA_DATA": str(GENUINE.resolve())}
    changed = run(project, "dvc", "--wait-for-lock", "exp", "run", "-S", swap, "pretrain", environment=environment)
    assert ran(changed.stdout) == ["frozen", "encode@image", "pretrain@image"], changed.stdout + changed.stderr
    assert "512 features of torchvision:squeezenet1_0" in changed.stdout
    assert run(project, "dvc", "--wait-for-lock", "exp", "run").returncode == 0


def test_a_run_is_in_mlflow_with_its_data_and_each_training_as_a_part(project):
    with sqlite3.connect(project / ".mlflow/mlflow.db") as store:
        names = {row[0] for row in store.execute("select name from runs where status = 'FINISHED'")}
        digests = {row[0] for row in store.execute("select digest from datasets")}
        params = {row[0] for row in store.execute("select key from params")}
        curves = {row[0] for row in store.execute("select key from metrics")}
        of_tags = {
            key: store.execute(f"select value, run_uuid from tags where key = '{key}'").fetchall() for key in TAGS
        }
        models = store.execute("select source_run_id from logged_models where status = 2").fetchall()
    store.close()
    nested = {row[1] for row in of_tags["mlflow.parentRunId"]}
    whole = {run: identity for identity, run in of_tags["umemma.run"] if run not in nested}
    assert len(whole) == len(set(whole.values())) >= 1  # no run is logged twice
    assert {row[0] for row in models} == set(whole)
    assert names >= {"pretrain image", "pretrain audio", "fuse"}
    manifest = hashlib.sha256((project / "data/shards/manifest.parquet").read_bytes()).hexdigest()
    assert manifest[:36] in digests
    assert {"fuse.missing_rate", "pretrain.lr", "dataset.modalities.image.encoder.name"} <= params
    assert {"val_accuracy/image and audio", "train_loss"} <= curves
    assert list((project / ".mlflow/artifacts").rglob("model.safetensors"))


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("dataset=digit", "digit"),  # Hydra's error
        ("fuse.mising_rate=0.2", "mising_rate"),  # OmegaConf's
        ("fuse.head=concatt", "no head called 'concatt'"),  # ours, raised within Hydra's
        ("dataset.classes=[zero,one,two]", "label"),  # depends on the data
    ],
)
def test_a_bad_override_ends_with_a_message_and_earlier_results_stay(project, override, sentence):
    before = (project / RESULTS).read_bytes()
    done = run(project, "dvc", "--wait-for-lock", "exp", "run", "-S", override)
    assert done.returncode != 0
    assert sentence in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert (project / RESULTS).read_bytes() == before
    if "classes" in override:
        run(project, "git", "checkout", "-q", "params.yaml")
    else:
        assert ran(done.stdout) == []
        assert run(project, "git", "diff", "--stat", "params.yaml").stdout == ""
    assert ran(run(project, "dvc", "--wait-for-lock", "repro").stdout) == []


def test_a_damaged_shard_stops_decoding_and_dvc_restores_it(project):
    shard = project / "data/shards/train-000000.tar"
    content = shard.read_bytes()
    middle = len(content) // 2
    for damaged in (
        content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
        content[: middle // 512 * 512],
    ):
        shard.unlink()  # the file in DVC's cache may be the same one
        shard.write_bytes(damaged)
        with pytest.raises(DataError, match=r"data/shards/train-000000\.tar is damaged"):
            run_stage(project, "decode@image")
    done = run(project, "python", "-m", "stages.decode", "image")
    assert done.returncode == 2
    assert "ERROR: data/shards/train-000000.tar is damaged" in done.stderr
    assert run(project, "dvc", "--wait-for-lock", "repro").returncode == 0
    assert shard.read_bytes() == content
    run_stage(project, "decode@image")


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


def test_another_data_set_takes_the_place_of_the_shards_and_the_first_ones_come_back_from_the_cache(project):
    index = (project / "data/shards/index.json").read_bytes()
    few = "dataset.options.num_samples={train: 300, val: 100, test: 100}"
    done = run(project, "dvc", "--wait-for-lock", "exp", "run", "-S", "dataset=synthetic", "-S", few, "decode")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads((project / "data/shards/index.json").read_text())["dataset"] == "synthetic"
    back = run(project, "dvc", "--wait-for-lock", "exp", "run", "-S", "dataset=digits")
    assert ran(back.stdout) == []
    assert (project / "data/shards/index.json").read_bytes() == index
