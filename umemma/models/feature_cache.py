"""A frozen backbone's features of every sample, in the layout of decoded arrays: a tower can be trained on either."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib.format import open_memmap

from umemma.data import arrays
from umemma.data.sample import SPLITS
from umemma.files import read_json, write_json
from umemma.models import frozen
from umemma.models.device import Device
from umemma.models.unimodal import Encoder
from umemma.progress import shown

_ROWS = 500  # read and encoded at a time
_ROWS_OF_SCALE = 5_000


@torch.no_grad()
def write(
    source: Path, modality: str, description: Mapping[str, Any], folder: Path, *, device: Device
) -> dict[str, Any]:
    """Encode the decoded arrays in `source` with the described backbone, into the new `folder`; return its facts.

    Rows of a missing modality are zero. Raises ParameterError if the backbone cannot take the decoded arrays.
    """
    folder.mkdir(parents=True)
    backbone = Encoder(modality, arrays.shape(source), frozen.settings_of(description)).eval()
    backbone.fit_scale(torch.from_numpy(_rows_of_scale(source)))
    backbone.to(device.torch_device)
    for split in SPLITS:
        values = np.load(source / f"{split}.npy", mmap_mode="r")
        present = np.load(source / f"{split}_present.npy")
        present_rows = present.nonzero()[0]
        features = open_memmap(folder / f"{split}.npy", "w+", np.float32, (len(values), backbone.dim))
        parts = [present_rows[start : start + _ROWS] for start in range(0, len(present_rows), _ROWS)]
        for rows in shown(parts, f"encode {modality} {split}", len(parts)):
            sorted_rows = _by_length(rows, values)
            with device.autocast():
                features[sorted_rows] = (
                    backbone(torch.from_numpy(values[sorted_rows]).to(device.torch_device)).float().cpu().numpy()
                )
        np.save(folder / f"{split}_present.npy", present)
    keys = read_json(source / arrays.FACTS)["keys_sha256"]
    facts = arrays.facts(folder, modality, (backbone.dim,), keys) | {"backbone": dict(description)}
    write_json(folder / arrays.FACTS, facts)
    return facts


def _by_length(rows: np.ndarray[Any, Any], values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the rows, padded sequences sorted by length: film plots then cost 0.4 of the tokens."""
    return rows[(values[rows] != 0).sum(axis=1).argsort(kind="stable")] if values.ndim == 2 else rows


def _rows_of_scale(source: Path) -> np.ndarray[Any, Any]:
    """Return the rows of the training set used to estimate the input scaling."""
    present_rows = np.load(source / "train_present.npy").nonzero()[0]
    values: np.ndarray[Any, Any] = np.load(source / "train.npy", mmap_mode="r")[present_rows[:_ROWS_OF_SCALE]]
    return values
