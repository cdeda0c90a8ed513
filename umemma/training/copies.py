"""Copies of samples with modalities hidden, for what is fitted to all samples at once and must meet every pattern."""

from collections.abc import Mapping
from typing import NamedTuple

import torch

from umemma.data.batch import Batch
from umemma.missingness import thinned

MAX_SAMPLES = 20_000  # that linear models and the arm trees learn from: more costs minutes and teaches them little
_NUM_COPIES, _MAX_ROWS = 4, 200_000


class HeldOut(NamedTuple):
    """What a head gets: features, visible and label of samples, then of copies; how often each sample is there."""

    features: Mapping[str, torch.Tensor]
    visible: torch.Tensor
    label: torch.Tensor
    copies: float

    def without_copies(self) -> "HeldOut":
        """Return the samples as they are."""
        rows = slice(0, round(len(self.label) / self.copies))
        features = {name: value[rows] for name, value in self.features.items()}
        return HeldOut(features, self.visible[rows], self.label[rows], 1.0)

    def joined(self, other: "HeldOut") -> "HeldOut":
        """Return both."""
        features = {name: torch.cat([value, other.features[name]]) for name, value in self.features.items()}
        number = len(self.label) / self.copies + len(other.label) / other.copies
        visible, label = torch.cat([self.visible, other.visible]), torch.cat([self.label, other.label])
        return HeldOut(features, visible, label, len(label) / number)


def with_copies(data: Batch, *, seed: int, max_rows: int = _MAX_ROWS) -> Batch:
    """Return the samples as they are, followed by copies with modalities hidden; of one modality there are none.

    Four copies, fewer where there would be more than `max_rows`, but one.
    """
    number = min(_NUM_COPIES, max(1, max_rows // max(1, len(data)) - 1)) if len(data.modalities) > 1 else 0
    rows = torch.arange(len(data)).repeat(1 + number)
    present = [data.present, *(thinned(data.present, data.key, seed=seed, copy=copy) for copy in range(number))]
    return data.rows(rows).with_present(torch.cat(present))
