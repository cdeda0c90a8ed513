"""Exact evaluation: every sample under every pattern once; every missing rate then follows by arithmetic.

The expected metric at rates eta is sum_S p_eta(S) metric(S): no masks are drawn, so it has no sampling noise. Late
fusion lets each encoder run once; the 2^M - 1 patterns cost only the head.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from umemma.late_fusion import LateFusion
from umemma.metrics import correct, surprise
from umemma.missingness import Pattern, pattern_name, patterns, probability


class Table:
    """What a model answers for every sample under every pattern, the empty one too.

    `correct` and `surprise` map a pattern to (sample,) float64. Where a sample's own data lack part of a pattern, its
    entry is that of the part it has; `has[pattern]` (sample,) bool says where the pattern is there in full.
    """

    def __init__(self, modalities: Sequence[str], present: torch.Tensor, logits: Mapping[Pattern, torch.Tensor],
                 label: torch.Tensor) -> None:
        """`logits`: pattern -> (sample, class) for every pattern, the empty one being the class prior's."""
        self.modalities = tuple(modalities)
        self.has = {one: (present | ~torch.tensor(one)).all(dim=1) for one in logits}
        self.correct = {one: correct(value, label).double() for one, value in logits.items()}
        self.surprise = {one: surprise(value, label) for one, value in logits.items()}

    def patterns(self) -> list[Pattern]:
        """Return the non-empty patterns, the complete one first."""
        return patterns(len(self.modalities))

    def accuracy(self, pattern: Pattern) -> float:
        """Return the accuracy on the samples that have the whole pattern."""
        return self.correct[pattern][self.has[pattern]].mean().item()

    def cross_entropy(self, pattern: Pattern) -> float:
        """Return the cross-entropy in nats on the samples that have the whole pattern."""
        return self.surprise[pattern][self.has[pattern]].mean().item()

    def expected(self, rates: Sequence[float]) -> dict[str, float]:
        """Return the exact expected accuracy and cross-entropy when each modality is missing at its own rate.

        Over all samples, on top of what is missing in the data; a sample left with nothing is answered by the prior.
        """
        shares = {one: probability(one, rates) for one in self.correct}
        return {"accuracy": sum(share * self.correct[one].mean().item() for one, share in shares.items()),
                "cross_entropy": sum(share * self.surprise[one].mean().item() for one, share in shares.items())}


@torch.no_grad()
def tabulate(
    model: LateFusion, features: Mapping[str, torch.Tensor], present: torch.Tensor, label: torch.Tensor,
    log_prior: torch.Tensor,
) -> Table:
    """Fuse features {modality: (sample, dim)} under every pattern."""
    logits: dict[Pattern, torch.Tensor] = {}
    for pattern in patterns(present.shape[1]):
        seen = present & torch.tensor(pattern)
        fused = model.fuse(features, seen).float()
        logits[pattern] = torch.where(seen.any(dim=1, keepdim=True), fused, log_prior)
    logits[(False,) * present.shape[1]] = log_prior.expand(len(label), -1)
    return Table(tuple(features), present, logits, label)


def results(
    table: Table, towers: Mapping[str, torch.Tensor], label: torch.Tensor, grid: Sequence[float]
) -> dict[str, Any]:
    """Return `patterns` and `rates` of robustness.json; `towers` are each tower's logits (sample, class).

    `uni` is the accuracy of the best tower of the set on the same samples, best on these very samples: it flatters
    the towers, so that "not below the uni-modal model" is not made easier.
    """
    found: dict[str, Any] = {}
    for pattern in table.patterns():
        rows = table.has[pattern]
        if not rows.any():
            continue
        uni = {name: correct(towers[name][rows], label[rows]).double().mean().item()
               for name, there in zip(table.modalities, pattern, strict=True) if there}
        best = max(uni, key=lambda name: uni[name])
        found[pattern_name(pattern, table.modalities)] = {
            "n": int(rows.sum()), "accuracy": _rounded(table.accuracy(pattern)),
            "cross_entropy": _rounded(table.cross_entropy(pattern)), "uni": _rounded(uni[best]), "uni_tower": best,
        }
    rates = [
        {"missing_rate": dict(zip(table.modalities, rate, strict=True)),
         **{name: _rounded(value) for name, value in table.expected(rate).items()}}
        for rate in itertools.product(grid, repeat=len(table.modalities))
    ]
    return {"patterns": found, "rates": rates}


def _rounded(value: float) -> float:
    return round(value, 6)
