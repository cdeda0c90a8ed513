"""The run's data -> what its trainings cost on this machine, against what they must: `make bench` (data/reports/bench.json).

No stage: what it measures is another number each time. It needs what `make run` has left, and changes none of it.
"""

import subprocess
import sys
import tempfile
import time
from contextlib import redirect_stdout
from pathlib import Path

import torch

from stages import MANIFEST, _arrays, _context, run
from umemma import parameters
from umemma.data.manifest import Targets
from umemma.errors import DataError
from umemma.files import write_json
from umemma.models import frozen, safetensors
from umemma.parameters import Parameters
from umemma.profiling import machine, plain, table, trainings
from umemma.profiling.trainings import Profile

OUT = Path("data/reports/bench.json")
NEEDED = (MANIFEST, Path("data/towers"))


def towers(settings: Parameters) -> dict[str, Profile]:
    """Return the profile of each tower whose training takes steps."""
    dataset = settings.dataset
    profiles = {}
    for name, modality in dataset.modalities.items():
        encoder = frozen.trained_part(modality.encoder)
        if encoder["name"] in ("trees", "linear"):
            continue  # fitted all at once
        data, _ = _arrays.of_modality(name, dataset)
        profiles[f"pretrain@{name}"] = trainings.of_tower(
            data,
            encoder,
            settings.pretrain,
            settings.compute,
            epochs=modality.epochs,
            num_classes=len(dataset.classes),
            seed=settings.seed,
            augmentation=modality.augment,
        )
    return profiles


def seconds_to_import(stage: str) -> float:
    """Return how long a process takes until it has imported a stage."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", f"import stages.{stage}"], check=True)
    return time.perf_counter() - start


def seconds_to_write(targets: Targets) -> float:
    """Return how long a file with the features of all samples takes."""
    num_rows = sum(map(len, targets.label.values()))
    with tempfile.TemporaryDirectory(dir="data") as folder:
        start = time.perf_counter()
        safetensors.write(Path(folder) / "features.safetensors", {"train": torch.zeros(num_rows, 64)}, {})
        return time.perf_counter() - start


def main() -> None:
    """Measure the machine, each training and a step in plain PyTorch; write and print."""
    settings = parameters.read()
    if missing := [str(path) for path in NEEDED if not path.exists()]:
        raise DataError(f"{', '.join(missing)}: not there; `make run` makes what is measured here")
    device = settings.compute.set_up()
    limits = machine.measure(device, Path("data"))
    with redirect_stdout(sys.stderr):  # what trainings print is not the result
        profiles = towers(settings)
        context, targets = _context.load(settings)
        if fusion := trainings.of_fusion(settings.arm, context):
            profiles["fuse"] = fusion
    imports = {stage: seconds_to_import(stage) for stage in ("pretrain", "fuse")}
    writing = {"pretrain": seconds_to_write(targets), "fuse": 0.0}
    found = {
        name: profile.report(limits, device, imports=imports[stage], writing=writing[stage])
        for name, profile in profiles.items()
        for stage in [name.partition("@")[0]]
    }
    report = {
        "dataset": settings.dataset.name,
        "arm": settings.arm,
        "machine": limits,
        "trainings": found,
        "plain": plain.compare(device),
    }
    write_json(OUT, report)
    print("\n".join(table.lines(report)))


if __name__ == "__main__":
    run(main)
