"""What a run hides of each sample in training.

By a protocol at given rates, by one that papers name (`umemma.named_protocol`), or by a mechanism under which holes depend
on the sample.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from umemma import named_masks
from umemma.data.batch import Batch
from umemma.data.mechanism import MECHANISMS, Mechanism
from umemma.missingness import PROTOCOLS, Pattern, hide, hide_by_chance, outcomes
from umemma.named_protocol import NamedProtocol, of_training


@dataclass(frozen=True)
class Plan:
    """How modalities are hidden: protocol or mechanism, one rate per modality, seed; `slope` of a mechanism.

    A protocol that is named says its rates itself.
    """

    protocol: str
    rates: tuple[float, ...]
    seed: int
    slope: float = 0.0


class Hiding:
    """A plan for the samples of a run; `media` {split: Batch} are their decoded arrays, on which mechanisms depend."""

    def __init__(self, plan: Plan, media: Mapping[str, Batch]) -> None:
        self.plan = plan
        self._chance: torch.Tensor | None = None
        self._named: NamedProtocol | None = None
        self._key, order = torch.cat([batch.key for batch in media.values()]).sort()
        if plan.protocol in MECHANISMS:
            mechanism = Mechanism.fit(plan.protocol, media["train"], plan.rates, plan.slope)
            self._chance = torch.cat([mechanism.chances(batch) for batch in media.values()])[order]
        elif plan.protocol not in PROTOCOLS:
            self._named = of_training(plan.protocol, media["train"].modalities)
            self._label = torch.cat([batch.label for batch in media.values()])[order]

    def left(self, present: torch.Tensor, key: torch.Tensor, epoch: int) -> torch.Tensor:
        """Return what is left of `present` (sample, modality) bool in an epoch; never nothing of what a sample has."""
        plan, chance = self.plan, self.chance(key)
        if self._named:
            return named_masks.draw(self._named, present, key, self._label_of(key), seed=plan.seed, epoch=epoch)
        if chance is None:
            return hide(present, key, plan.rates, protocol=plan.protocol, seed=plan.seed, epoch=epoch)
        return hide_by_chance(present, key, chance, seed=plan.seed, epoch=epoch)

    def chance(self, key: torch.Tensor) -> torch.Tensor | None:
        """Return (sample, modality) float64: how likely each is hidden, before samples left with nothing are drawn again.

        None for a protocol, under which no sample differs from another that has the same modalities.
        """
        return None if self._chance is None else self._chance[torch.searchsorted(self._key, key)]

    def _label_of(self, key: torch.Tensor) -> torch.Tensor:
        return self._label[torch.searchsorted(self._key, key)]

    def hidden_shares(self, present: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
        """Return (sample, modality) float64: the exact probability that a modality which is there is hidden."""
        if self._named:
            return named_masks.hidden_shares(self._named, present, self._label_of(key))
        chance = self.chance(key)
        if chance is None:
            has, number = present.unique(dim=0, return_inverse=True)
            shares = [_hidden(tuple(row), self.plan) if any(row) else (0.0,) * len(row) for row in has.tolist()]
            return torch.tensor(shares, dtype=torch.float64).reshape(-1, present.shape[1])[number]
        nothing = torch.where(present, chance, 1.0).prod(dim=1, keepdim=True)
        return torch.where(nothing < 1, (chance - nothing) / (1 - nothing).clamp_min(1e-12), 0.0)

    def pattern_shares(self, batch: Batch) -> dict[Pattern, float]:
        """Return how often each pattern is left of samples that have everything, on average over the batch's."""
        everything = (True,) * len(self.plan.rates)
        if self._named:
            often = named_masks.by_sample(self._named, self._label_of(batch.key)).mean(dim=0)
            return dict(zip(self._named.sets, often.tolist(), strict=True))
        chance = self.chance(batch.key)
        if chance is None:
            return outcomes(everything, self.plan.rates, self.plan.protocol)
        shares: dict[Pattern, float] = {}
        for pattern in outcomes(everything, [0.5] * len(everything), "independent"):
            share = torch.where(torch.tensor(pattern), 1 - chance, chance).prod(dim=1)
            shares[pattern] = float((share / (1 - chance.prod(dim=1)).clamp_min(1e-12)).mean())
        return shares


def _hidden(has: Pattern, plan: Plan) -> tuple[float, ...]:
    left = outcomes(has, plan.rates, plan.protocol)
    return tuple(sum(share for kept, share in left.items() if not kept[m]) for m in range(len(has)))
