"""Shared fixtures: a small synthetic split, towers on it, and the project as a fresh checkout."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:  # before torch is imported; processes that a test starts have it too
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # workers share the cores

import torch

from umemma.data.batch import Batch
from umemma.missingness import key_digest
from umemma.models.device import Device
from umemma.models.unimodal import Encoder, Tower

ROOT = Path(__file__).parent.parent
CPU = Device(torch.device("cpu"))


@pytest.fixture
def media() -> Batch:
    """24 samples of two modalities of different shape; labels can be read off either."""
    generator = torch.Generator().manual_seed(1)
    label = torch.arange(24) % 3
    values = {
        "image": torch.randn(24, 1, 8, 8, generator=generator) + label[:, None, None, None],
        "audio": torch.randn(24, 1, 9, 6, generator=generator) - label[:, None, None, None],
    }
    return Batch(values, torch.ones(24, 2, dtype=torch.bool), label, key_digest([f"k{i}" for i in range(24)]))


@pytest.fixture
def towers(media: Batch) -> dict[str, Tower]:
    torch.manual_seed(0)
    return {
        name: Tower(Encoder(name, value.shape[1:], {"name": "lenet", "width": 4, "dim": 5}), 3).eval()
        for name, value in media.values.items()
    }


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Make fresh git checkouts of the project's files as they are now, with a DVC cache of their own.

    Without dvc.lock: it is what a run in this tree has left, and the new cache holds none of the outputs that it names.
    Unless asked, runs are without the baseline `trees`, which takes longer than the rest of a short run.
    """

    def make(*, trees: bool = False) -> Path:
        folder = tmp_path_factory.mktemp("checkout")
        names = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard", "--", ":!dvc.lock"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
        for name in names:
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, folder / name)
        for path, both, linear in (
            ("conf/config.yaml", "\nbaselines: [linear, trees]", "\nbaselines: [linear]"),
            ("params.yaml", "\nbaselines:\n- linear\n- trees\n", "\nbaselines:\n- linear\n"),
        ):
            text = (folder / path).read_text()
            assert both in text
            (folder / path).write_text(text if trees else text.replace(both, linear))
        for command in (
            ["init", "-q", "-b", "main"],
            ["config", "user.name", "t"],
            ["add", "-A"],
            ["config", "user.email", "t@example.org"],
            ["commit", "-qm", "start"],
        ):
            subprocess.run(["git", *command], cwd=folder, check=True)
        return folder

    return make


def run(
    folder: Path, *command: str, environment: Mapping[str, str] | None = None, timeout: float = 600
) -> subprocess.CompletedProcess[str]:
    """Run a command in a checkout as a user would, with this environment's tools first on PATH."""
    clean = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("DVC_", "PREFECT_", "MLFLOW_", "UMEMMA_")) and key != "PYTHONDONTWRITEBYTECODE"
    }
    clean |= {"PATH": f"{Path(sys.executable).parent}:{clean['PATH']}", "DO_NOT_TRACK": "true", **(environment or {})}
    return subprocess.run(command, cwd=folder, env=clean, capture_output=True, text=True, timeout=timeout, check=False)


@pytest.fixture
def home(tmp_path):
    """A project's folder: init needs only conf/."""
    folder = tmp_path / "home"
    (folder / "conf/dataset").mkdir(parents=True)
    (folder / "conf/config.yaml").write_text((ROOT / "conf/config.yaml").read_text())
    return folder


def initiated(home, path, **given):
    """Run init on a table; return its output and the parameters composed from the file it wrote."""
    from umemma import composition, parameters
    from umemma.init.init import init
    from umemma.init.proposal import Given

    output = init(path, path.parent, "mine", Given(**given), home=home, force=True)
    return output, parameters.check(composition.composed(home / "conf", ["dataset=mine"]), "conf")
