"""Which modalities are hidden: patterns, their probabilities, and draws that depend only on seed and key.

A draw is a counter-based hash (SplitMix64's finaliser: Steele, Lea, Flood 2014) of (seed, epoch, key, modality), never
of batch order: all compared models see the same missing modalities, whatever the batch size or number of workers.
"""

import hashlib
import itertools
import math
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

Pattern = tuple[bool, ...]
MAX_EXHAUSTIVE = 6  # modalities, of which every set is evaluated
_MAX_SPECIALISTS = 4  # modalities, of which every set has a specialist: 57 sets of 6 took ten minutes
_SETS_OF_A_SIZE, _SETS_OF_HALF = 6, 20
_MOST_ATTEMPTS = 2_000  # to draw what is left of a sample: more only where it is all but sure that nothing is
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # SplitMix64's increment; all arithmetic is modulo 2^64


def patterns(num_modalities: int) -> list[Pattern]:
    """Return all non-empty sets of modalities as flags, the complete set first, then by decreasing size."""
    flags = itertools.product((True, False), repeat=num_modalities)
    return sorted((pattern for pattern in flags if any(pattern)), key=lambda pattern: -sum(pattern))


def panel(num_modalities: int) -> list[Pattern]:
    """Return the non-empty patterns that models are trained for and measured on, ordered as `patterns`.

    All of them for up to 6 modalities. Beyond, 2^M - 1 models, predictions and tests are too many: every modality
    alone, every one left out, all, and of each size between them some sets, the same in every run; of half the
    modalities the most, as nearly all sets have about that size. So 10 modalities have 77 sets in place of 1,023.
    """
    if num_modalities <= MAX_EXHAUSTIVE:
        return patterns(num_modalities)
    drawn: list[Pattern] = []
    for size in range(num_modalities, 0, -1):
        sets: Iterable[tuple[int, ...]] = itertools.combinations(range(num_modalities), size)
        most = _SETS_OF_HALF if size == num_modalities // 2 else _SETS_OF_A_SIZE
        if num_modalities - 1 > size > 1 and math.comb(num_modalities, size) > most:
            generator = random.Random(size)
            sets = sorted(generator.sample(list(sets), most))
        drawn += [tuple(m in kept for m in range(num_modalities)) for kept in sets]
    return drawn


def specialists_panel(num_modalities: int) -> list[Pattern]:
    """Return the patterns of `panel` that get a model of their own as a yardstick.

    All of them for up to 4 modalities. Beyond, a model of each set would cost more than all the rest of a run: every
    modality alone, every one left out, all, and the halves.
    """
    chosen = panel(num_modalities)
    if num_modalities <= _MAX_SPECIALISTS:
        return chosen
    sizes = (1, num_modalities // 2, num_modalities - 1, num_modalities)
    return [pattern for pattern in chosen if sum(pattern) in sizes]


def halves(num_modalities: int) -> list[Pattern]:
    """Return the patterns of `panel` that keep half of the modalities, rounded down; none of fewer than four."""
    kept = num_modalities // 2
    return [pattern for pattern in panel(num_modalities) if sum(pattern) == kept > 1]


def in_order(some: Iterable[Pattern]) -> list[Pattern]:
    """Return patterns in the order of `patterns`, whatever order a file had them in."""
    return sorted(some, key=lambda pattern: (-sum(pattern), [not is_present for is_present in pattern]))


def is_within(small: Pattern, large: Pattern) -> bool:
    """Return whether `large` has every modality that `small` has."""
    return all(has or not wants for has, wants in zip(large, small, strict=True))


def pattern_name(pattern: Pattern, modalities: Sequence[str]) -> str:
    """Return the names of the present modalities joined with `+`, in the data set's order."""
    return "+".join(name for name, is_present in zip(modalities, pattern, strict=True) if is_present)


def probability(pattern: Pattern, rates: Sequence[float]) -> float:
    """Return the probability of exactly this pattern when each modality is hidden independently at its rate."""
    return math.prod(1 - rate if is_present else rate for is_present, rate in zip(pattern, rates, strict=True))


def key_digest(keys: Sequence[str]) -> torch.Tensor:
    """Return (sample,) int64: 63 bits of each key's SHA-256."""
    digests = (int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") >> 1 for key in keys)
    return torch.from_numpy(np.fromiter(digests, np.int64, len(keys)))


def hide(
    present: torch.Tensor, key: torch.Tensor, rates: Sequence[float], *, protocol: str, seed: int, epoch: int = 0
) -> torch.Tensor:
    """Return what is left of `present` (sample, modality) bool; `key` (sample,) int64.

    Every protocol leaves a sample at least one of the modalities it has. Each `epoch` is a fresh draw.
    """
    return PROTOCOLS[protocol].draw(present, key, rates, seed, epoch)


def hide_by_chance(
    present: torch.Tensor, key: torch.Tensor, chance: torch.Tensor, *, seed: int, epoch: int = 0
) -> torch.Tensor:
    """Return what is left of `present` (sample, modality) if each is hidden with its own `chance` (sample, modality).

    Samples that would lose all of what they have are drawn again: the law is that given that something is left. One that
    loses all time and again is drawn from that law itself. A sample that must lose all keeps what it has.
    """
    kept, attempt = present.clone(), 0
    pending = (present & (chance < 1)).any(dim=1)
    while pending.any() and attempt < _MOST_ATTEMPTS:
        rows = pending.nonzero().squeeze(1)
        drawn = uniform(key[rows], present.shape[1], attempt, epoch, seed)
        kept[rows] = present[rows] & (drawn >= chance[rows].to(drawn))
        pending[rows] = ~kept[rows].any(dim=1)
        attempt += 1
    rows = pending.nonzero().squeeze(1)
    if len(rows):
        drawn = uniform(key[rows], 1 + present.shape[1], attempt, epoch, seed)
        kept[rows] = _something(present[rows], chance[rows], drawn)
    return kept


def _something(present: torch.Tensor, chance: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
    """Return what is left given that something is: the first modality that is kept, then those after it.

    `drawn` (sample, 1 + modality) uniform numbers: which is the first, and whether each other one is kept.
    """
    chance = torch.where(present, chance, 1.0).double()
    before = torch.cat([torch.ones_like(chance[:, :1]), chance.cumprod(dim=1)[:, :-1]], dim=1)
    share = (before * (1 - chance)).cumsum(dim=1)
    first = (drawn[:, :1] * share[:, -1:] < share).double().argmax(dim=1, keepdim=True)
    number = torch.arange(chance.shape[1])
    return present & ((number == first) | ((number > first) & (drawn[:, 1:] >= chance)))


def outcomes(has: Pattern, rates: Sequence[float], protocol: str) -> dict[Pattern, float]:
    """Return the probability of each pattern that `hide` can leave of a sample with the non-empty pattern `has`."""
    return PROTOCOLS[protocol].outcomes(has, rates)


def uniform(key: torch.Tensor, count: int, *stream: int) -> torch.Tensor:
    """Return (sample, count) float64, uniform in [0, 1), from the key and `stream`: integers such as a seed."""
    state = np.zeros(1, np.uint64)
    for part in stream:
        state = _mixed(state + np.uint64(part) + _GOLDEN)
    by_key = _mixed(key.cpu().numpy().astype(np.uint64) ^ state)[:, None]
    bits = _mixed(by_key + np.arange(1, count + 1, dtype=np.uint64) * _GOLDEN)
    return torch.from_numpy((bits >> np.uint64(11)).astype(np.float64) / 2.0**53)


def thinned(present: torch.Tensor, key: torch.Tensor, *, seed: int, copy: int) -> torch.Tensor:
    """Return what is left of `present` (sample, modality) in one copy of the samples that meets every pattern.

    Each sample draws q, uniform in [0, 1), and keeps each of its modalities with probability q; one that would lose all
    keeps one, each as likely. So every number of modalities left is about as frequent, whatever their number.
    """
    drawn = uniform(key, present.shape[1] + 1, seed, copy)
    kept = present & (drawn[:, 1:] < drawn[:, :1])
    order = uniform(key, present.shape[1], seed, copy, 1).masked_fill(~present, -1.0)
    only = torch.zeros_like(present).scatter(1, order.argmax(dim=1, keepdim=True), value=True) & present
    return torch.where(kept.any(dim=1, keepdim=True), kept, only)


def _draw_independent(
    present: torch.Tensor, key: torch.Tensor, rates: Sequence[float], seed: int, epoch: int
) -> torch.Tensor:
    """Hide each modality at its rate; samples that would lose all of them are redrawn.

    So the result follows the independent rates, conditional on at least one modality being left. A rate of 1 hides a
    modality wherever one with a lower rate is left; a sample whose modalities all have rate 1 keeps one of them,
    chosen uniformly.
    """
    rate = torch.tensor(rates, dtype=torch.float64)
    chosen = uniform(key, len(rates), 0, epoch, seed).masked_fill(~present, -1.0).argmax(dim=1, keepdim=True)
    only = torch.zeros_like(present).scatter(1, chosen, value=True) & present
    left = hide_by_chance(present, key, rate.expand(present.shape), seed=seed, epoch=epoch)
    return torch.where((present & (rate < 1)).any(dim=1, keepdim=True), left, only)


def _independent_outcomes(has: Pattern, rates: Sequence[float]) -> dict[Pattern, float]:
    """Return p(kept | something is kept).

    If every modality of the sample has rate 1, that is 0 / 0. The limit as these rates rise to 1 together: a pattern
    that keeps k modalities has probability proportional to (1 - rate)^k, so exactly one is left, each equally likely.
    """
    shown = [m for m, is_present in enumerate(has) if is_present]
    if all(rates[m] == 1 for m in shown):
        return {tuple(m == kept for m in range(len(has))): 1 / len(shown) for kept in shown}
    shares = {}
    possible = [[left for left in (True, False) if rates[m] != (1 if left else 0)] for m in shown]
    for left in itertools.product(*possible):
        share = math.prod(1 - rates[m] if is_left else rates[m] for m, is_left in zip(shown, left, strict=True))
        if any(left):
            kept = set(itertools.compress(shown, left))
            shares[tuple(m in kept for m in range(len(has)))] = share
    total = sum(shares.values())
    return {kept: share / total for kept, share in shares.items()}


def _draw_absent(
    present: torch.Tensor, key: torch.Tensor, rates: Sequence[float], seed: int, epoch: int
) -> torch.Tensor:
    """Hide the modalities of rate 1 in every sample; a sample that has no others keeps what it has."""
    left = present & (torch.tensor(rates) < 1)
    return torch.where(left.any(dim=1, keepdim=True), left, present)


def _absent_outcomes(has: Pattern, rates: Sequence[float]) -> dict[Pattern, float]:
    left = tuple(is_present and rate < 1 for is_present, rate in zip(has, rates, strict=True))
    return {left if any(left) else has: 1.0}


def _draw_balanced(
    present: torch.Tensor, key: torch.Tensor, rates: Sequence[float], seed: int, epoch: int
) -> torch.Tensor:
    """Hide at most one modality of a sample, m with probability rate m; the last one left is never hidden."""
    bounds = torch.tensor(rates, dtype=torch.float64).cumsum(0)
    chosen = torch.searchsorted(bounds, uniform(key, 1, epoch, seed).contiguous(), right=True)
    left = present & (chosen != torch.arange(len(rates)))
    return torch.where(left.any(dim=1, keepdim=True), left, present)


def _balanced_outcomes(has: Pattern, rates: Sequence[float]) -> dict[Pattern, float]:
    shares: dict[Pattern, float] = {}
    for m, share in [*enumerate(rates), (None, 1 - sum(rates))]:
        left = tuple(is_present and number != m for number, is_present in enumerate(has))
        kept = left if any(left) else has
        if share > 0:
            shares[kept] = shares.get(kept, 0.0) + share
    return shares


Draw = Callable[[torch.Tensor, torch.Tensor, Sequence[float], int, int], torch.Tensor]


@dataclass(frozen=True)
class Protocol:
    """How modalities go missing: a draw, and the exact probabilities of its outcomes."""

    draw: Draw
    outcomes: Callable[[Pattern, Sequence[float]], dict[Pattern, float]]


PROTOCOLS = {
    "independent": Protocol(_draw_independent, _independent_outcomes),
    "absent": Protocol(_draw_absent, _absent_outcomes),
    "balanced": Protocol(_draw_balanced, _balanced_outcomes),
}


def _mixed(bits: np.ndarray) -> np.ndarray:
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))
