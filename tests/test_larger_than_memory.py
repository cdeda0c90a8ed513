"""Training reads memory-mapped arrays batch by batch: ten times the samples need no more memory of the process.

So it is where the modality is missing in some of them, though these are left out before.
"""

import subprocess
import sys

import numpy as np
import pytest
from numpy.lib.format import open_memmap

from tests.conftest import ROOT

VALUES = 1_000  # float32 of a sample: 4 kB
TRAIN = """
import sys, threading, time
from pathlib import Path
import torch
from umemma.data import on_disk
from umemma.data.batch import Batch
from umemma.settings import section
from umemma.training import unimodal_fit
from umemma.training.settings import Compute, Pretrain

def anonymous() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))

def watch() -> None:
    while True:
        peak[0] = max(peak[0], anonymous())
        time.sleep(0.01)

def split(name: str) -> Batch:
    values = on_disk.mapped(Path(sys.argv[1], f"{name}.npy"))
    present = torch.arange(len(values)) % 20 >= int(sys.argv[2])
    return Batch.of({"vector": values}, torch.arange(len(values)) % 3, present[:, None])

data = {name: split(name) for name in ("train", "val", "test")}
peak = [0]
threading.Thread(target=watch, daemon=True).start()
pretrain = section(Pretrain, batch_size=64, lr=0.004, weight_decay=0.0, label_smoothing=0.0, class_balance=0.0)
compute = section(Compute, device="cpu", precision="float32", threads=1)
unimodal_fit.fit(data, {"name": "mlp", "dim": 8, "width": 16}, pretrain, compute, epochs=1, num_classes=3, seed=0)
Path(sys.argv[1], "peak").write_text(str(peak[0]))
"""


def peak_mib(folder, num_samples, missing_of_20):
    folder.mkdir()
    for name, number in (("train", num_samples), ("val", 300), ("test", 300)):
        values = open_memmap(folder / f"{name}.npy", "w+", np.float32, (number, VALUES))
        values[:, 0] = np.arange(number) % 3
    command = [sys.executable, "-c", TRAIN, str(folder), str(missing_of_20)]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return int((folder / "peak").read_text()) / 1024


@pytest.mark.slow
@pytest.mark.parametrize("missing_of_20", [0, 1])
def test_ten_times_the_samples_train_in_the_same_memory(tmp_path, missing_of_20):
    few, many = (peak_mib(tmp_path / str(number), number, missing_of_20) for number in (7_000, 70_000))
    grown = 63_000 * VALUES * 4 / 2**20
    assert many - few < 0.25 * grown, f"{few:.0f} MiB, then {many:.0f}: a copy would be {grown:.0f} more"
