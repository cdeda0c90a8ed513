"""A frozen trunk's features of every sample, in the layout of decoded arrays, so that a tower is trained on either.

Where an encoder has no frozen trunk the folder holds `facts.json` alone, and `arrays` is the decoded ones.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib.format import open_memmap

from umemma.data import arrays as decoded
from umemma.data.sample import SPLITS
from umemma.files import read_json, write_json
from umemma.models import frozen
from umemma.models.unimodal import Encoder
from umemma.progress import shown

_ROWS = 500  # read and encoded at a time
_ROWS_OF_SCALE = 5_000


def arrays(decoded_folder: Path, encoded_folder: Path) -> Path:
    """Return the folder of the arrays that a modality's tower is trained on."""
    return decoded_folder if read_json(encoded_folder / decoded.FACTS)["trunk"] is None else encoded_folder


def write_none(modality: str, folder: Path) -> None:
    """Write into `folder` that nothing is frozen."""
    folder.mkdir(parents=True)
    write_json(folder / decoded.FACTS, {"modality": modality, "trunk": None})


@torch.no_grad()
def write(
    source: Path,
    modality: str,
    description: Mapping[str, Any],
    folder: Path,
    *,
    device: torch.device,
    autocast: Callable[[], AbstractContextManager[object]],
) -> dict[str, Any]:
    """Encode the decoded arrays in `source` with the trunk described, into the empty `folder`; return its facts.

    Rows of a missing modality are zero. Raises ParameterError where the trunk cannot take what was decoded.
    """
    folder.mkdir(parents=True)
    trunk = Encoder(modality, decoded.shape(source), frozen.settings_of(description)).eval()
    trunk.fit_scale(torch.from_numpy(_rows_of_scale(source)))
    trunk.to(device)
    for split in SPLITS:
        values = np.load(source / f"{split}.npy", mmap_mode="r")
        present = np.load(source / f"{split}_present.npy")
        there = present.nonzero()[0]
        features = open_memmap(folder / f"{split}.npy", "w+", np.float32, (len(values), trunk.dim))
        parts = [there[start : start + _ROWS] for start in range(0, len(there), _ROWS)]
        for rows in shown(parts, f"encode {modality} {split}", len(parts)):
            alike = _by_length(rows, values)
            with autocast():
                features[alike] = trunk(torch.from_numpy(values[alike]).to(device)).float().cpu().numpy()
        np.save(folder / f"{split}_present.npy", present)
    facts = decoded.facts(folder, modality, (trunk.dim,)) | {"trunk": dict(description)}
    write_json(folder / decoded.FACTS, facts)
    return facts


def _by_length(rows: np.ndarray[Any, Any], values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the rows, padded sequences of like length side by side: film plots then cost 0.4 of the tokens."""
    return rows[(values[rows] != 0).sum(axis=1).argsort(kind="stable")] if values.ndim == 2 else rows


def _rows_of_scale(source: Path) -> np.ndarray[Any, Any]:
    """Return the rows of the training set that the scale is taken from."""
    there = np.load(source / "train_present.npy").nonzero()[0]
    found: np.ndarray[Any, Any] = np.load(source / "train.npy", mmap_mode="r")[there[:_ROWS_OF_SCALE]]
    return found
