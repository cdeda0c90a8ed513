"""One model's predictions for every sample under every pattern of the panel, and the file that stores them.

All evaluation starts from these logits: no model is run again. Every pattern has logits for every sample; a sample that
lacks part of a pattern has the logits of the part it has.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from umemma.missingness import Pattern, in_order
from umemma.models import safetensors


@dataclass(frozen=True)
class Predictions:
    """One model on one split.

    modalities  names, in the order of the patterns' flags
    present     (sample, modality) bool: which modalities the data have
    label       (sample,) int64, or (sample, class) bool: several labels a sample
    group       (sample,) int64, equal where two samples share a recording, a person, a film
    key         (sample,) int64, digest of the sample's key
    logits      pattern -> (sample, class) float32, log-probabilities up to a constant, for every pattern of
                `missingness.panel` and for the empty one, which has the class prior; log-odds if there are several labels a sample
    threshold   pattern -> (class,), the log-odds above which a class is predicted; 0 if not given
    """

    modalities: tuple[str, ...]
    present: torch.Tensor
    label: torch.Tensor
    group: torch.Tensor
    key: torch.Tensor
    logits: Mapping[Pattern, torch.Tensor]
    threshold: Mapping[Pattern, torch.Tensor] = field(default_factory=dict)

    @property
    def num_classes(self) -> int:
        """The number of columns of `logits`."""
        return next(iter(self.logits.values())).shape[1]

    def decisions(self, pattern: Pattern) -> torch.Tensor:
        """Return (sample, class): the logits shifted so that the decision threshold is at 0."""
        return self.logits[pattern] - self.threshold[pattern] if pattern in self.threshold else self.logits[pattern]

    def own(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return logits and decisions, each (sample, class): every sample's, from exactly the modalities it has."""
        everything = (True,) * len(self.modalities)
        logits, decisions = self.logits[everything].clone(), self.decisions(everything).clone()
        has, group = self.present.unique(dim=0, return_inverse=True)
        for number, pattern in enumerate(tuple(row) for row in has.tolist()):
            if pattern in self.logits:  # equal to those of a larger pattern, but for the threshold
                logits[group == number] = self.logits[pattern][group == number]
                decisions[group == number] = self.decisions(pattern)[group == number]
        return logits, decisions

    def patterns(self) -> list[Pattern]:
        """Return the non-empty patterns on file that some sample has in full, the complete one first."""
        return [pattern for pattern in in_order(self.logits) if any(pattern) and self.has(pattern).any()]

    def has(self, pattern: Pattern) -> torch.Tensor:
        """Return (sample,) bool: does the sample have every modality of the pattern?"""
        return (self.present | ~torch.tensor(pattern)).all(dim=1)


def write(path: Path, splits: Mapping[str, Predictions], facts: Mapping[str, Any]) -> None:
    """Write one model's predictions by split; `facts` (JSON-serialisable) identify the model."""
    tensors: dict[str, torch.Tensor] = {}
    for split, predictions in splits.items():
        tensors |= {
            f"{split}/{name}": getattr(predictions, name).clone() for name in ("present", "label", "group", "key")
        }
        for tensor_name in ("logits", "threshold"):
            tensors |= {
                f"{split}/{tensor_name}/{_bits(pattern)}": value.float().clone()
                for pattern, value in getattr(predictions, tensor_name).items()
            }
    modalities = next(iter(splits.values())).modalities
    safetensors.write(path, tensors, {**facts, "modalities": list(modalities)})


def read(path: Path) -> tuple[dict[str, Predictions], dict[str, Any]]:
    """Return ({split: Predictions}, facts). Raises DamagedFile if the file is missing or damaged."""
    tensors, facts = safetensors.read(path)
    splits = {}
    for split in dict.fromkeys(name.split("/")[0] for name in tensors):
        logits, threshold = (
            {
                _pattern(name.rsplit("/", 1)[1]): value
                for name, value in tensors.items()
                if name.startswith(f"{split}/{tensor_name}/")
            }
            for tensor_name in ("logits", "threshold")
        )
        rows = {name: tensors[f"{split}/{name}"] for name in ("present", "label", "group", "key")}
        splits[split] = Predictions(tuple(facts["modalities"]), logits=logits, threshold=threshold, **rows)
    return splits, facts


def _bits(pattern: Pattern) -> str:
    return "".join("1" if is_present else "0" for is_present in pattern)


def _pattern(bits: str) -> Pattern:
    return tuple(bit == "1" for bit in bits)
