"""What one model answers for every sample under every pattern, and the file it is kept in.

All of the evaluation starts from here: once these logits are there, no model is asked again. A pattern holds every
sample; where a sample's own data lack part of the pattern, its answer is that for the part it has.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from umemma.missingness import Pattern, patterns
from umemma.models import safetensors


@dataclass(frozen=True)
class Predictions:
    """One model on one split.

    modalities  their names, in the order of the patterns' flags
    present     (sample, modality) bool, what the data have
    label       (sample,) int64, or (sample, class) bool: several labels a sample
    group       (sample,) int64, equal where two samples share a recording, a person, a film
    key         (sample,) int64, digest of the sample's key
    logits      pattern -> (sample, class) float32, log-probabilities up to a constant, for every pattern, the empty
                one too: that is the class prior's answer; log-odds where there are several labels
    threshold   pattern -> (class,), the log-odds above which the answer is yes; 0 where there is none
    """

    modalities: tuple[str, ...]
    present: torch.Tensor
    label: torch.Tensor
    group: torch.Tensor
    key: torch.Tensor
    logits: Mapping[Pattern, torch.Tensor]
    threshold: Mapping[Pattern, torch.Tensor] = field(default_factory=dict)

    def decisions(self, pattern: Pattern) -> torch.Tensor:
        """Return (sample, class): the logits shifted so that decisions fall where `threshold` says."""
        return self.logits[pattern] - self.threshold[pattern] if pattern in self.threshold else self.logits[pattern]

    def patterns(self) -> list[Pattern]:
        """Return the non-empty patterns that some sample has in full, the complete one first."""
        return [one for one in patterns(len(self.modalities)) if self.has(one).any()]

    def has(self, pattern: Pattern) -> torch.Tensor:
        """Return (sample,) bool: is the whole pattern there?"""
        return (self.present | ~torch.tensor(pattern)).all(dim=1)


def write(path: Path, splits: Mapping[str, Predictions], facts: Mapping[str, Any]) -> None:
    """Write one model's answers on some splits; `facts` (JSON-able) say which model it is."""
    tensors: dict[str, torch.Tensor] = {}
    for split, one in splits.items():
        tensors |= {f"{split}/{name}": getattr(one, name).clone() for name in ("present", "label", "group", "key")}
        for what in ("logits", "threshold"):
            tensors |= {
                f"{split}/{what}/{_bits(pattern)}": value.float().clone()
                for pattern, value in getattr(one, what).items()
            }
    modalities = next(iter(splits.values())).modalities
    safetensors.write(path, tensors, {**facts, "modalities": list(modalities)})


def read(path: Path) -> tuple[dict[str, Predictions], dict[str, Any]]:
    """Return ({split: Answers}, facts). Raises DamagedFile where the file is missing or damaged."""
    tensors, facts = safetensors.read(path)
    splits = {}
    for split in dict.fromkeys(name.split("/")[0] for name in tensors):
        logits, threshold = (
            {
                _pattern(name.rsplit("/", 1)[1]): value
                for name, value in tensors.items()
                if name.startswith(f"{split}/{what}/")
            }
            for what in ("logits", "threshold")
        )
        rows = {name: tensors[f"{split}/{name}"] for name in ("present", "label", "group", "key")}
        splits[split] = Predictions(tuple(facts["modalities"]), logits=logits, threshold=threshold, **rows)
    return splits, facts


def _bits(pattern: Pattern) -> str:
    return "".join("1" if there else "0" for there in pattern)


def _pattern(bits: str) -> Pattern:
    return tuple(bit == "1" for bit in bits)
