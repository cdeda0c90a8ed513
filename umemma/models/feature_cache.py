"""A frozen backbone's features of every sample, in the layout of decoded arrays: a tower can be trained on either."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib.format import open_memmap

from umemma.data import arrays
from umemma.data.sample import SPLITS
from umemma.files import read_json, reserve, write_json
from umemma.launchers import local_launcher
from umemma.launchers.launcher import Launcher
from umemma.models import frozen, safetensors
from umemma.models.blocks import in_blocks
from umemma.models.device import Device
from umemma.models.unimodal import Encoder
from umemma.progress import shown

BACKBONE = "backbone.safetensors"
ALONE = local_launcher.Launcher(1)  # one process has the GPU, or all cores
_ROWS = 500  # read at a time
_ROWS_OF_SCALE = 5_000


@torch.no_grad()
def write(
    source: Path,
    modality: str,
    description: Mapping[str, Any],
    folder: Path,
    *,
    set_up: Callable[[], Device],
    launcher: Launcher = ALONE,
) -> dict[str, Any]:
    """Encode the decoded arrays in `source` with the described backbone, into the new `folder`; return its facts.

    The backbone itself is beside them, for new samples. Rows of a missing modality are zero. `set_up` returns the device of
    whichever process encodes; on devices of one kind the bytes are the same whatever the `launcher`. Raises ParameterError
    if the backbone cannot take the decoded arrays.
    """
    folder.mkdir(parents=True)
    backbone = Encoder(modality, arrays.shape(source), frozen.settings_of(description)).eval()
    backbone.fit_scale(torch.from_numpy(_rows_of_scale(source)))
    safetensors.write(folder / BACKBONE, backbone.state_dict(), backbone.facts())
    jobs: list[tuple[str, int]] = []
    for split in SPLITS:
        present = np.load(source / f"{split}_present.npy")
        open_memmap(folder / f"{split}.npy", "w+", np.float32, (len(present), backbone.dim))
        reserve(folder / f"{split}.npy")
        np.save(folder / f"{split}_present.npy", present)
        jobs += [(split, start) for start in range(0, len(present), _ROWS)]
    for _ in shown(launcher.map(_Encode(source, backbone, folder, set_up), jobs), f"encode {modality}", len(jobs)):
        pass
    keys = read_json(source / arrays.FACTS)["keys_sha256"]
    facts = arrays.facts(folder, modality, (backbone.dim,), keys) | {"backbone": dict(description)}
    write_json(folder / arrays.FACTS, facts)
    return facts


@dataclass(frozen=True)
class _Encode:
    """Encodes the rows of a job, its split and first row, and writes them as a part of the file, as decoded ones are."""

    source: Path
    backbone: Encoder
    folder: Path
    set_up: Callable[[], Device]

    @torch.no_grad()
    def __call__(self, job: tuple[str, int]) -> None:
        split, start = job
        rows = slice(start, start + _ROWS)
        present = np.load(self.source / f"{split}_present.npy")[rows]
        if not present.any():
            return
        device = self.set_up()
        values = np.load(self.source / f"{split}.npy", mmap_mode="r")[rows][present]
        with device.autocast():
            part = in_blocks(self.backbone.to(device.torch_device), torch.from_numpy(values).to(device.torch_device))
        features = np.zeros((len(present), self.backbone.dim), np.float32)
        features[present] = part.float().cpu().numpy()
        with arrays.opened(self.folder / f"{split}.npy") as file:
            file.seek(file.tell() + start * features[0].nbytes)
            file.write(features.data)


def read_backbone(path: Path) -> Encoder:
    """Return the frozen backbone in a file, in eval mode. Raises DamagedFile if it holds none."""
    state, facts = safetensors.read(path)
    encoder = Encoder.blank(facts)
    encoder.load_state_dict(state)
    return encoder.eval()


def _rows_of_scale(source: Path) -> np.ndarray[Any, Any]:
    """Return the rows of the training set used to estimate the input scaling."""
    present_rows = np.load(source / "train_present.npy").nonzero()[0]
    values: np.ndarray[Any, Any] = np.load(source / "train.npy", mmap_mode="r")[present_rows[:_ROWS_OF_SCALE]]
    return values
