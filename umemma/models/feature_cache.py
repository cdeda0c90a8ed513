"""A frozen backbone's features of every sample, in the layout of decoded arrays: a tower can be trained on either."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib.format import open_memmap

from umemma.data import arrays
from umemma.data.sample import SPLITS
from umemma.files import read_json, reserve, write_json
from umemma.models import frozen, safetensors
from umemma.models.blocks import in_blocks
from umemma.models.device import Device
from umemma.models.unimodal import Encoder
from umemma.progress import shown

BACKBONE = "backbone.safetensors"
_ROWS = 500  # read at a time
_ROWS_OF_SCALE = 5_000


@torch.no_grad()
def write(
    source: Path, modality: str, description: Mapping[str, Any], folder: Path, *, device: Device
) -> dict[str, Any]:
    """Encode the decoded arrays in `source` with the described backbone, into the new `folder`; return its facts.

    The backbone itself is beside them, for new samples. Rows of a missing modality are zero. Raises ParameterError if
    the backbone cannot take the decoded arrays.
    """
    folder.mkdir(parents=True)
    backbone = Encoder(modality, arrays.shape(source), frozen.settings_of(description)).eval()
    backbone.fit_scale(torch.from_numpy(_rows_of_scale(source)))
    safetensors.write(folder / BACKBONE, backbone.state_dict(), backbone.facts())
    backbone.to(device.torch_device)
    for split in SPLITS:
        values = np.load(source / f"{split}.npy", mmap_mode="r")
        present = np.load(source / f"{split}_present.npy")
        present_rows = present.nonzero()[0]
        features = open_memmap(folder / f"{split}.npy", "w+", np.float32, (len(values), backbone.dim))
        reserve(folder / f"{split}.npy")
        parts = [present_rows[start : start + _ROWS] for start in range(0, len(present_rows), _ROWS)]
        for rows in shown(parts, f"encode {modality} {split}", len(parts)):
            with device.autocast():
                part = in_blocks(backbone, torch.from_numpy(values[rows]).to(device.torch_device))
            features[rows] = part.float().cpu().numpy()
        np.save(folder / f"{split}_present.npy", present)
    keys = read_json(source / arrays.FACTS)["keys_sha256"]
    facts = arrays.facts(folder, modality, (backbone.dim,), keys) | {"backbone": dict(description)}
    write_json(folder / arrays.FACTS, facts)
    return facts


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
