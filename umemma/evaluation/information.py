"""Information in nats: bounds from cross-entropy, the accuracy that it allows, and the value of each modality.

`values` maps every set of modalities S to v(S), an estimate of I(X_S; Y) of any shape (...); the empty set's is 0 and
may be omitted. A missing set is unknown: whatever depends on it is NaN.
"""

import math
from collections.abc import Mapping, Sequence

import torch

from umemma.missingness import Pattern

_HALVINGS = 60  # bisection ends at the precision of float64


def entropy(counts: torch.Tensor) -> torch.Tensor:
    """Return (...) in nats, of counts or shares (..., class)."""
    share = counts / counts.sum(dim=-1, keepdim=True)
    return -share.xlogy(share).sum(dim=-1)


def entropy_deficit(counts: torch.Tensor) -> torch.Tensor:
    """Return (...), nats: how much lower than the truth `entropy` is on average, of counts (cluster, ..., class).

    Half the sum over classes of the variance of a class's share, as a multiple of the share (Miller 1955). Of independent
    samples this is (K - 1) / 2n; samples of one cluster that have the same label count as one. 0 of a single cluster,
    which says nothing of variance.
    """
    num_clusters, size = len(counts), counts.sum(dim=-1, keepdim=True)
    total = size.sum(dim=0)
    share = counts.sum(dim=0) / total
    variance = (counts - size * share).square().sum(dim=0) / total.square() * num_clusters / max(num_clusters - 1, 1)
    return torch.where(share > 0, variance / share, 0.0).sum(dim=-1) / 2


def lower_bound(label_entropy: torch.Tensor, cross_entropy: torch.Tensor) -> torch.Tensor:
    """Return H(Y) - CE: at most I(X; Y), for the held-out cross-entropy of any model (Barber & Agakov 2003)."""
    return label_entropy - cross_entropy


def fano_ceiling(residual: torch.Tensor, num_classes: int) -> torch.Tensor:
    """Return (...) the largest accuracy that Fano's inequality allows if H(Y|X) = `residual` (...) nats.

    The error Pe solves h(Pe) + Pe log(K - 1) = H(Y|X), by bisection up to 1 - 1/K (Cover & Thomas 2006, th. 2.10.1).
    """
    low, high = torch.zeros_like(residual), torch.full_like(residual, 1 - 1 / num_classes)
    for _ in range(_HALVINGS):
        error = (low + high) / 2
        allowed = entropy(torch.stack([error, 1 - error], dim=-1)) + error * math.log(num_classes - 1)
        low, high = torch.where(allowed < residual, error, low), torch.where(allowed < residual, high, error)
    return torch.where(residual.isnan(), torch.nan, 1 - high)


def feder_merhav_floor(residual: torch.Tensor, num_classes: int) -> torch.Tensor:
    """Return (...) the accuracy guaranteed for the best rule if H(Y|X) <= `residual` (...) nats.

    Its error is at most phi(H(Y|X)), piecewise linear through (log k, 1 - 1/k), k = 1 .. K (Feder & Merhav 1994), which is
    tight. The first piece is that of Hellman & Raviv 1970, which promises nothing beyond log 2. The guarantee is for the
    best rule from X, not for the model whose cross-entropy was used.
    """
    size = residual.clamp(0, math.log(num_classes)).exp()  # classes between which a guess is as uncertain
    k = (size + 1e-12).floor().clamp(1, max(num_classes - 1, 1))
    along = (residual.clamp(0, math.log(num_classes)) - k.log()) / ((k + 1) / k).log()
    return torch.where(residual.isnan(), torch.nan, (1 - along) / k + along / (k + 1))


def pattern_shares(patterns: Sequence[Pattern], rates: torch.Tensor) -> torch.Tensor:
    """Return (vector, pattern): the probability of each pattern at independent rates (vector, modality)."""
    present = torch.tensor(list(patterns))
    shares = rates.new_ones(len(rates), len(present))
    for is_present, rate in zip(present.unbind(dim=1), rates.unbind(dim=1), strict=True):
        shares = shares * torch.where(is_present, 1 - rate[:, None], rate[:, None])
    return shares


def expected_information(values: Mapping[Pattern, torch.Tensor], rates: torch.Tensor) -> torch.Tensor:
    """Return I*(eta) = sum_S p_eta(S) v(S), (vector, ...), at missing rates (vector, modality)."""
    known = list(values)
    shares = pattern_shares(known, rates)
    information = _combined(shares, torch.stack([values[pattern] for pattern in known]))
    missing = 1 - shares.sum(dim=1) - (0 if _empty(known[0]) in values else rates.prod(dim=1))
    return torch.where((missing > 1e-9).reshape(-1, *[1] * (information.ndim - 1)), torch.nan, information)


def price(values: Mapping[Pattern, torch.Tensor], modality: int, rates: torch.Tensor) -> torch.Tensor:
    """Return -dI*/d eta_m, (vector, ...): nats lost for each unit of `modality`'s rate, at rates (vector, modality).

    I* is linear in each rate, so this is I* with the modality always present minus I* with it always missing.
    """
    always, never = rates.clone(), rates.clone()
    always[:, modality], never[:, modality] = 0.0, 1.0
    return expected_information(values, always) - expected_information(values, never)


def shapley(values: Mapping[Pattern, torch.Tensor], modality: int) -> torch.Tensor:
    """Return (...) the modality's share of v(all) in nats (Shapley 1953).

    The mean gain over all orders of adding modalities; equivalently the mean price along rates (t, ..., t).
    """
    num_modalities = len(next(iter(values)))
    total = torch.zeros_like(next(iter(values.values())))
    for bits in range(2 ** (num_modalities - 1)):
        others = [bool(bits >> bit & 1) for bit in range(num_modalities - 1)]
        without = (*others[:modality], False, *others[modality:])
        orders = math.factorial(sum(without)) * math.factorial(num_modalities - 1 - sum(without))
        total = total + gain(values, without, modality) * (orders / math.factorial(num_modalities))
    return total


def gain(values: Mapping[Pattern, torch.Tensor], present: Pattern, modality: int) -> torch.Tensor:
    """Return (...) v(S with the modality) - v(S): what it adds to the set S, `present` without it."""
    return _value(values, added(present, modality)) - _value(values, present)


def lost_for_good(values: Mapping[Pattern, torch.Tensor], modality: int) -> torch.Tensor:
    """Return (...) v(all) - v(all without the modality), nats: what no other modality can replace."""
    others = tuple(other != modality for other in range(len(next(iter(values)))))
    return gain(values, others, modality)


def added(pattern: Pattern, modality: int) -> Pattern:
    """Return the set with the modality in it."""
    return (*pattern[:modality], True, *pattern[modality + 1 :])


def _value(values: Mapping[Pattern, torch.Tensor], pattern: Pattern) -> torch.Tensor:
    like = next(iter(values.values()))
    return values.get(pattern, torch.zeros_like(like) if not any(pattern) else torch.full_like(like, torch.nan))


def _combined(shares: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Return shares (vector, pattern) @ values (pattern, ...); a share of 0 excludes even an undefined value."""
    parts = shares.reshape(*shares.shape, *[1] * (values.ndim - 1))
    return torch.where(parts == 0, 0.0, parts * values).sum(dim=1)


def _empty(pattern: Pattern) -> Pattern:
    return (False,) * len(pattern)
