"""A DVC project with the outputs of a pipeline in seconds: its stages copy files that are made once, a model for each seed."""

import contextlib
import csv
import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from dvc.repo import Repo

from tests import served_sample
from tests.test_flows import call
from umemma.data import shard_writer
from umemma.files import sha256
from umemma.serving import folder
from umemma.sources.adapters import table

SEEDS = (0, 1)
DVC_YAML = """
stages:
  watch:
    cmd: python step.py watched.json data/watched.json
    deps: [step.py]
    outs: [data/watched.json]
  prepare:
    cmd: python step.py shards data/shards
    deps: [data/watched.json]
    outs: [data/shards]
  fuse:
    cmd: python step.py weights- data/model/model.safetensors
    deps: [data/shards/manifest.parquet]
    params: [seed]
    outs: [data/model]
  export:
    cmd: python step.py model- data/export predictions- data/reports/predictions.csv
    deps: [data/model, data/shards/manifest.parquet]
    params: [seed]
    outs: [data/export, data/reports/predictions.csv]
"""
STEP = """
import os, pathlib, re, shutil, sys
seed = re.search("seed: (.+)", pathlib.Path("params.yaml").read_text())[1]
for name, out in zip(sys.argv[1::2], sys.argv[2::2]):
    source = pathlib.Path(os.environ["MADE"], name + seed if name.endswith("-") else name)
    pathlib.Path(out).parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(source, out) if source.is_dir() else shutil.copy(source, out)
"""


@dataclass(frozen=True)
class Made:
    """What the stages copy, by name and seed; the raw table, its pictures beside it; model digests by seed."""

    folder: Path
    table: Path
    digest: dict[int, str]


def made(root: Path) -> Made:
    """Make the outputs."""
    served = served_sample.made(root / "raw")
    (root / "made").mkdir()
    options = {"file": served.table.name, "key": "id", "split": "split", "label": "label"}
    options |= {"modalities": served_sample.MODALITIES, "columns": served_sample.COLUMNS}
    adapter = table.Adapter(served.table.parent, classes=served_sample.CLASSES, task="single_label", **options)
    shard_writer.write(
        adapter,
        root / "made/shards",
        dataset="pets",
        task="single_label",
        classes=served_sample.CLASSES,
        samples_per_shard=20,
    )
    watched = {"dataset": "pets", "lists": {served.table.name: sha256(served.table)}, "files": 0, "sha256": ""}
    (root / "made/watched.json").write_text(json.dumps(watched))
    digests = {}
    for seed in SEEDS:
        model = root / f"made/model-{seed}"
        shutil.copytree(served.folder, model)
        (model / "README.md").write_text(f"seed {seed}")
        digests[seed] = folder.seal(model)
        (root / f"made/weights-{seed}").write_text(f"seed {seed}")
        text = (served.table.parent / "predictions.csv").read_text("utf-8")
        own = next(csv.DictReader(text.splitlines()))["id"].partition("-")[0]
        (root / f"made/predictions-{seed}").write_text(text.replace(f"{own}-", f"{digests[seed][:12]}-"), "utf-8")
    return Made(root / "made", served.table, digests)


def project(root: Path) -> Path:
    """Make a project with directories as its remotes of git and DVC and commit it; nothing has run."""
    root.mkdir()
    for name, text in {
        "dvc.yaml": DVC_YAML,
        "step.py": STEP,
        "params.yaml": "seed: 0\n",
        ".gitignore": "/data/\n",
    }.items():
        (root / name).write_text(text)
    origin = root.parent / "origin.git"
    call(root, "git", "init", "-q", "--bare", "-b", "main", str(origin))
    call(root, "git", "init", "-q", "-b", "main")
    call(root, "git", "remote", "add", "origin", str(origin))
    with (
        Repo.init(str(root)) as repo,
        repo.config.edit("repo") as config,
    ):  # in this process: `dvc` takes a second each time
        config["remote"] = {"store": {"url": str(root.parent / "store")}}
        config["core"] = {"remote": "store"}
    commit(root, "start")
    return root


def reproduce(root: Path) -> None:
    """Run the pipeline as `dvc repro` does."""
    with contextlib.chdir(root), Repo() as repo:
        repo.reproduce()


def push(root: Path, experiment: str) -> None:
    """Push commits, outputs and an experiment."""
    call(root, "git", "push", "-q", "origin", "main")
    with Repo(str(root)) as repo:
        repo.push()
        repo.experiments.push("origin", exp_names=[experiment], push_cache=True)


def commit(root: Path, message: str) -> str:
    """Commit everything; return the commit."""
    call(root, "git", "add", ".")
    call(root, "git", "commit", "-q", "-m", message)
    return call(root, "git", "rev-parse", "HEAD").strip()


def clone(root: Path, place: Path) -> Path:
    """Return a fresh clone of what was pushed, with the experiments; its cache is empty."""
    subprocess.run(["git", "clone", "-q", str(root.parent / "origin.git"), str(place)], check=True)
    call(place, "git", "fetch", "-q", "origin", "refs/exps/*:refs/exps/*")
    return place
