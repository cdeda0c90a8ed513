"""The common container for data: values by modality, a presence mask, label and key.

A whole split is one large `Batch` over memory-mapped arrays; a training step takes some of its rows. Missing modalities
keep their rows: `present` is False there, and nothing may depend on their values. NaN in a vector or series that is
present is a number that was not measured.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from umemma.data import on_disk
from umemma.errors import DataError
from umemma.missingness import key_digest


@dataclass(frozen=True)
class Batch:
    """Aligned samples.

    values   {modality: (sample, ...)}, decoded media or features; order of keys = order of modalities
    present  (sample, modality) bool
    label    (sample,) int64, or (sample, class) bool for multi-label data
    key      (sample,) int64, a digest of each sample's key: the seed for hiding modalities at random
    """

    values: Mapping[str, torch.Tensor]
    present: torch.Tensor
    label: torch.Tensor
    key: torch.Tensor

    @classmethod
    def of(
        cls, values: Mapping[str, torch.Tensor], label: torch.Tensor, present: torch.Tensor | None = None
    ) -> "Batch":
        """Return samples keyed by their index; `present` None: no modality is missing.

        Raises DataError if lengths or types do not match.
        """
        present = torch.ones(len(label), len(values), dtype=torch.bool) if present is None else present
        lengths = {name: len(value) for name, value in values.items()} | {"label": len(label)}
        if len(set(lengths.values())) != 1:
            raise DataError(f"values and label must be of the same samples; there are {lengths}")
        if present.shape != (len(label), len(values)) or present.dtype != torch.bool:
            raise DataError(
                f"present must be bool of shape {(len(label), len(values))}, (sample, modality); it is "
                f"{present.dtype} of shape {tuple(present.shape)}"
            )
        if label.dtype != (torch.bool if label.ndim == 2 else torch.int64):
            raise DataError(f"label must be int64 (sample,) or bool (sample, class); it is {label.dtype}")
        return cls(dict(values), present, label, key_digest([str(number) for number in range(len(label))]))

    def __len__(self) -> int:
        return len(self.label)

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names, in the order of `present`'s columns."""
        return tuple(self.values)

    def rows(self, index: torch.Tensor | slice) -> "Batch":
        """Return the samples at `index` (row numbers, a mask or a slice), in its order."""
        return Batch(
            {name: _taken(value, index) for name, value in self.values.items()},
            self.present[index],
            self.label[index],
            self.key[index],
        )

    def will_need(self, rows: torch.Tensor) -> None:
        """Say which rows (row number,) are read next, so that those on disk are there by then."""
        for value in self.values.values():
            on_disk.will_need(value, rows)

    def to(self, device: torch.device) -> "Batch":
        """Return the batch on another device."""
        return Batch(
            {name: value.to(device) for name, value in self.values.items()},
            self.present.to(device),
            self.label.to(device),
            self.key.to(device),
        )

    def with_present(self, present: torch.Tensor) -> "Batch":
        """Return the same samples with another presence mask; values are unchanged."""
        return replace(self, present=present)

    def with_values(self, values: Mapping[str, torch.Tensor]) -> "Batch":
        """Return the same samples with other values, such as features instead of media."""
        return replace(self, values=values)

    def only(self, names: Sequence[str]) -> "Batch":
        """Return the same samples with the modalities in `names` only, in the batch's order."""
        columns = [m for m, name in enumerate(self.values) if name in names]
        return replace(
            self,
            values={name: self.values[name] for name in self.values if name in names},
            present=self.present[:, columns],
        )


def _taken(value: torch.Tensor, index: torch.Tensor | slice) -> torch.Tensor:
    """Return rows of values, where these are."""
    if isinstance(index, slice):
        return value[index]
    return on_disk.rows(value, index.nonzero().squeeze(1) if index.dtype == torch.bool else index)
