"""Which modalities are hidden: patterns, their probabilities, and draws that depend on nothing but seed and key.

A draw is a counter-based hash (SplitMix64's finaliser: Steele, Lea, Flood 2014) of (seed, round, key, modality), never
of batch order: every model that is compared meets the same holes, whatever its batch size or number of workers.
"""

import hashlib
import itertools
import math
from collections.abc import Sequence

import numpy as np
import torch

Pattern = tuple[bool, ...]
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # SplitMix64's increment; all of this is arithmetic modulo 2^64


def patterns(num_modalities: int) -> list[Pattern]:
    """Return all non-empty sets of modalities as flags, the complete one first, then by falling size."""
    flags = itertools.product((True, False), repeat=num_modalities)
    return sorted((one for one in flags if any(one)), key=lambda one: -sum(one))


def pattern_name(pattern: Pattern, modalities: Sequence[str]) -> str:
    """Return the set's names joined with `+`, in the data set's order."""
    return "+".join(name for name, there in zip(modalities, pattern, strict=True) if there)


def probability(pattern: Pattern, rates: Sequence[float]) -> float:
    """Return how likely exactly this pattern is when each modality is hidden independently at its rate."""
    return math.prod(1 - rate if there else rate for there, rate in zip(pattern, rates, strict=True))


def key_digest(keys: Sequence[str]) -> torch.Tensor:
    """Return (sample,) int64: 63 bits of each key's SHA-256."""
    return torch.tensor([int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") >> 1 for key in keys],
                        dtype=torch.int64)


def hide(
    present: torch.Tensor, key: torch.Tensor, rates: Sequence[float], *, seed: int, round_: int = 0
) -> torch.Tensor:
    """Hide each present modality at its rate, independently, but leave every sample one: protocol `independent`.

    `present` (sample, modality) bool, `key` (sample,) int64. Samples that would lose all they have are drawn again,
    so the result follows the independent rates conditioned on being non-empty; a rate of 1 hides a modality wherever
    another one is left. `round_` gives a fresh draw, such as the epoch.
    """
    rate = torch.tensor(rates, dtype=torch.float64)
    kept = present.clone()
    pending = present.any(dim=1)
    certain = present & (rate >= 1)
    only_certain = pending & ~(present & ~certain).any(dim=1)  # all they have is always hidden: they keep it
    pending &= ~only_certain
    attempt = 0
    while pending.any():
        rows = pending.nonzero().squeeze(1)
        kept[rows] = present[rows] & (_uniform(key[rows], len(rates), seed, round_, attempt) >= rate)
        pending[rows] = ~kept[rows].any(dim=1)
        attempt += 1
    return kept


def _uniform(key: torch.Tensor, num_modalities: int, seed: int, round_: int, attempt: int) -> torch.Tensor:
    """Return (sample, modality) float64, uniform in [0, 1)."""
    state = np.zeros(1, np.uint64)
    for part in (attempt, round_, seed):
        state = _mixed(state + np.uint64(part) + _GOLDEN)
    by_key = _mixed(key.cpu().numpy().astype(np.uint64) ^ state)[:, None]
    bits = _mixed(by_key + np.arange(1, num_modalities + 1, dtype=np.uint64) * _GOLDEN)
    return torch.from_numpy((bits >> np.uint64(11)).astype(np.float64) / 2.0**53)


def _mixed(bits: np.ndarray) -> np.ndarray:
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))
