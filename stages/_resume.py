"""Where a stage keeps its trainings, so that a killed one goes on: in a folder named by all that determines the result."""

import hashlib
import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch

from umemma.data.arrays import FACTS
from umemma.files import sha256
from umemma.parameters import Parameters
from umemma.paths import home
from umemma.training import resume

PLACE = Path(".dvc/tmp/training")  # in the main checkout: an experiment has a new folder each time, and finds it there
# What may differ when a killed training goes on: it may have other ranks, or another cluster.
ELSEWHERE = {"devices", "launcher", "workers", "slurm", "ray"}


def resumable(stage: str, inputs: Sequence[Path], settings: Parameters) -> AbstractContextManager[None]:
    """Keep the trainings inside and go on with those that are kept, until the stage is through.

    `inputs` are the files and folders that it reads. Its ranks may be more or fewer than before. Without the digest of its
    code, as in a script that is run by hand in a new checkout, nothing is kept.
    """
    code = Path("data/code") / f"{stage.partition('@')[0]}.json"
    if not code.is_file():
        return nullcontext()
    digest = hashlib.sha256(f"{torch.__version__} {torch.cuda.is_available()} {len(os.sched_getaffinity(0))}".encode())
    digest.update(settings.model_dump_json(exclude={"compute": ELSEWHERE}).encode())
    for path in [code, *(file for each in inputs for file in _files(each))]:
        digest.update(sha256(path).encode())
    return resume.kept_in(home() / PLACE / f"{stage}-{digest.hexdigest()[:16]}", settings.compute.set_up().ranks)


def _files(path: Path) -> Sequence[Path]:
    """Return the files that identify a file or folder: of arrays the one with their digests."""
    if (path / FACTS).is_file():
        return [path / FACTS]
    return [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
