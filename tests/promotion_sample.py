"""A project whose runs were never run: dvc.lock, DVC's cache and MLflow's store as a run leaves them, made in a second."""

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import mlflow
import torch
from dvc.repo import Repo
from ruamel.yaml import YAML

from tests.conftest import ROOT
from umemma.evaluation.comparison import Model
from umemma.prediction import predictions
from umemma.serving import folder as model_folder

MLMODEL = "flavors:\n  python_function:\n    artifacts: {folder: {path: artifacts/export, uri: data/export}}\n"


class Project:
    """A project at `root`; `ran` puts a run into its workspace, `experiment` into an experiment."""

    def __init__(self, root: Path, exported: Path) -> None:
        self.root, self._exported = root, exported
        (root / "conf").mkdir(parents=True)
        shutil.copy(ROOT / "params.yaml", root)
        self.set("evaluate", bootstrap_replicates=200)
        (root / ".gitignore").write_text(".mlflow\n")
        git(root, "init", "-q", "-b", "main")
        git(root, "config", "user.name", "t")
        git(root, "config", "user.email", "t@example.org")
        Repo.init(str(root)).close()
        git(root, "add", "-A")
        git(root, "commit", "-qm", "start")

    def set(self, section: str, **values: object) -> None:
        """Change params.yaml."""
        yaml = YAML(typ="safe")
        content = yaml.load((self.root / "params.yaml").read_text())
        content[section] |= values
        with (self.root / "params.yaml").open("w") as file:
            yaml.dump(content, file)

    def ran(
        self, model: Model, *, seed: int = 0, fingerprint: str = "f" * 64, failures: list[str] | None = None
    ) -> str:
        """Leave a run with these predictions in dvc.lock, the cache and MLflow; return its model's digest."""
        folder = self.root / ".exported"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self._exported, folder)
        facts = json.loads((folder / "model.json").read_text())
        facts |= {"dataset": "digits", "seed": seed, "fingerprint": fingerprint, "classes": ["a", "b"]}
        (folder / "model.json").write_text(json.dumps(facts))
        digest = model_folder.seal(folder)
        answers = self.root / ".answers"
        answers.mkdir(exist_ok=True)
        known = {"arm": "frozen", "seed": seed, "fingerprint": fingerprint, "missing_rate": None, "budget": 1}
        predictions.write(answers / "model.safetensors", model.splits, known)
        shards = self.root / ".shards"
        shards.mkdir(exist_ok=True)
        (shards / "index.json").write_text(fingerprint)
        failures = failures or []
        judged = {
            "passed": not failures,
            "gates": [{"gate": "never below", "passed": not failures, "checked": 3, "failures": failures}],
        }
        files = {
            "data/export": folder,
            "data/predictions": answers,
            "data/reports/gates.json": judged,
            "data/model": {"weights": seed},
            "data/shards": shards,
            "data/masks": {"masks": seed},
            "data/reports/validation.json": {},
            "data/gates/shards.json": {},
        }
        outs = [self._cached(path, content) for path, content in files.items()]
        stages = {"all": {"cmd": "true", "outs": outs}}
        if not failures:
            done = self._cached("data/gates/method.json", {"passed": True, "gates": ["never below"]})
            stages["end"] = {"cmd": "true", "deps": outs, "outs": [done]}
        with (self.root / "dvc.lock").open("w") as file:
            YAML(typ="safe").dump({"schema": "2.0", "stages": stages}, file)
        self._logged(folder, digest)
        shutil.rmtree(folder)
        shutil.rmtree(answers)
        shutil.rmtree(shards)
        return digest

    def experiment(self, name: str) -> None:
        """Make the workspace's run an experiment, and put back what was there before."""
        head = git(self.root, "rev-parse", "HEAD")
        git(self.root, "add", "-f", "dvc.lock")
        revision = git(self.root, "commit-tree", git(self.root, "write-tree"), "-p", head, "-m", name)
        git(self.root, "update-ref", f"refs/exps/{head[:2]}/{head[2:]}/{name}", revision)
        git(self.root, "rm", "-qf", "--cached", "dvc.lock")

    def _cached(self, path: str, content: object) -> dict[str, object]:
        """Put an output into DVC's cache as DVC would, and return its entry of dvc.lock."""
        if not isinstance(content, Path):
            return {"path": path, "md5": self._object(json.dumps(content).encode()), "size": 1}
        listed = [
            {"md5": self._object(file.read_bytes()), "relpath": file.relative_to(content).as_posix()}
            for file in sorted(content.rglob("*"))
            if file.is_file()
        ]
        return {"path": path, "md5": self._object(json.dumps(listed).encode(), ".dir"), "size": 1}

    def _object(self, content: bytes, suffix: str = "") -> str:
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest() + suffix
        path = self.root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return md5

    def _logged(self, folder: Path, digest: str) -> None:
        """Log a model folder as an MLflow model of a run, without asking the model."""
        from umemma.tracking import store
        from umemma.tracking.log import MODEL

        with store.opened(self.root) as client:
            there = client.get_experiment_by_name("digits")
            artifacts = (self.root / ".mlflow/artifacts/digits").as_uri()
            experiment = there.experiment_id if there else client.create_experiment("digits", artifacts)
            run = client.create_run(experiment, tags={MODEL: digest}).info.run_id
            model = client.create_logged_model(experiment, "digits", run)
            copied = self.root / ".logged"
            shutil.copytree(folder, copied / "artifacts/export")
            (copied / "MLmodel").write_text(MLMODEL)
            client.log_model_artifacts(model.model_id, str(copied))
            client.finalize_logged_model(model.model_id, "READY")
            client.set_terminated(run)
            shutil.rmtree(copied)

    def client(self) -> mlflow.MlflowClient:
        """Return MLflow's own client of the store."""
        return mlflow.MlflowClient(f"sqlite:///{self.root}/.mlflow/mlflow.db")

    def aliases(self) -> dict[str, str]:
        """Return {alias: number of the version}."""
        aliases = self.client().get_registered_model("umemma-digits").aliases
        return {alias: str(number) for alias, number in aliases.items()}

    def described(self, number: str) -> str:
        """Return what the page of a version says."""
        return str(self.client().get_model_version("umemma-digits", number).description)

    def versions(self) -> dict[str, dict[str, str]]:
        """Return the tags of each version, by number."""
        found = self.client().search_model_versions("name = 'umemma-digits'")
        return {str(one.version): dict(one.tags) for one in found}


def git(root: Path, *arguments: str) -> str:
    """Run git in a project of a test."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(["git", *arguments], cwd=root, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def answering(share_correct: dict[str, float], *, n: int = 600, seed: int = 0) -> Model:
    """Return a model of image and audio that is right on the first share of the test samples, by pattern."""
    label = torch.arange(n) % 2
    generator = torch.Generator().manual_seed(seed)
    shares = {(True, True): "image+audio", (True, False): "image", (False, True): "audio"}
    logits = {(False, False): torch.zeros(n, 2)}
    for pattern, name in shares.items():
        is_correct = torch.arange(n) < round(share_correct[name] * n)
        sure = torch.rand(n, generator=generator) + 0.1
        logits[pattern] = torch.stack([sure, -sure], dim=1) * torch.where(is_correct == (label == 0), 1, -1)[:, None]
    present = torch.ones(n, 2, dtype=torch.bool)
    test = predictions.Predictions(("image", "audio"), present, label, torch.arange(n), torch.arange(n), logits)
    return Model("model", "frozen", 0, None, None, {"test": test})
