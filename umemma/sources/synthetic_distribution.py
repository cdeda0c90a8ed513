"""The data set `synthetic` as a distribution p(label, symbols), and the exact quantities that follow from it.

The label consists of fair, independent bits, one for each modality; the first is the most significant:

    bit 0  redundant    the same noisy copy of it is in every modality: two copies tell no more than one
    bit 1  synergistic  modality `a` has a fair coin, `b` has that coin XOR a noisy copy; alone, each is noise
    bit 2  unique       a noisy copy in `c` only
    bit 3  unique       a noisy copy in `d` only, with four modalities

Each kind of information (Williams and Beer 2010, arXiv 1004.2515) is a different bit, so a dial changes its own kind
only, and 2^M classes encode them all. A dial d in 0..1 sets a binary symmetric channel that transmits the bit correctly
with probability (1 + d) / 2: at 0 it is a coin flip, at 1 there is no noise. A modality's symbol is two bits: 2 * the
redundant copy + its other bit (XOR share or unique copy). An observed vector determines its symbol without error, hence
I(X_S; Y) = I(Z_S; Y), which is enumerated here. Modalities go missing by a mechanism (`Holes`), whose law is known in every
outcome; the true value for S is that of the samples which have S.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from scipy import optimize, special

from umemma.data.mechanism import MECHANISMS
from umemma.errors import ParameterError, unknown
from umemma.missingness import Pattern, patterns

MODALITIES = ("a", "b", "c", "d")
NUM_SYMBOLS = 4  # of one modality: two bits
_CHOICES = (3, 4)


@dataclass(frozen=True)
class Structure:
    """The number of modalities and the amount of each kind of information, dials of 0..1.

    Raises ParameterError for a dial out of range and for another number of modalities.
    """

    num_modalities: int = 3
    redundant: float = 0.8
    unique: float = 0.8
    synergistic: float = 0.9

    def __post_init__(self) -> None:
        if type(self.num_modalities) is not int or self.num_modalities not in _CHOICES:
            raise ParameterError(f"dataset.options.num_modalities must be 3 or 4, not {self.num_modalities!r}")
        for name in ("redundant", "unique", "synergistic"):
            dial = getattr(self, name)
            if isinstance(dial, bool) or not isinstance(dial, int | float) or not 0 <= dial <= 1:
                raise ParameterError(f"dataset.options.{name} must be a number of 0 to 1, not {dial!r}")

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> "Structure":
        """Select the distribution's fields from `dataset.options`; the rest (seed, sizes, missing) does not matter."""
        return cls(**{one.name: options[one.name] for one in fields(cls) if one.name in options})

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the modalities, in order."""
        return MODALITIES[: self.num_modalities]


@dataclass(frozen=True)
class Holes:
    """How modalities are really missing: `missing`, the rate of each (a modality left out is always there), and why.

    P(missing | label, symbols) = sigmoid(a_m + slope * bit), with a_m such that the rate is exact before samples that would
    lose everything are drawn again. The bit is 0 of all outcomes (`mcar`); the redundant copy in `a`, which is then always
    there (`mar`); the modality's own other bit (`mnar`); the label's first bit (`by_class`).

    Raises ParameterError for a mechanism that there is not, and for a rate of `a` under `mar`.
    """

    missing: Mapping[str, float] = field(default_factory=dict)
    mechanism: str = "mcar"
    slope: float = 2.0

    def __post_init__(self) -> None:
        if self.mechanism not in MECHANISMS:
            raise ParameterError(unknown("dataset.options.mechanism", "mechanism", self.mechanism, MECHANISMS))
        if self.mechanism == "mar" and self.missing.get("a", 0.0) > 0:
            raise ParameterError(
                "dataset.options.missing: with mechanism `mar` modality a decides and is always there; its rate is 0"
            )

    def chances(self, structure: Structure) -> np.ndarray:
        """Return (modality, class, 4, 4, ...): how likely each modality is missing, of every outcome of `joint`."""
        p = joint(structure)
        label, *symbols = np.indices(p.shape)
        away = []
        for name, symbol in zip(structure.modalities, symbols, strict=True):
            bit = {
                "mcar": 0 * label,
                "mar": symbols[0] // 2,
                "mnar": symbol % 2,
                "by_class": label // 2 ** (structure.num_modalities - 1),
            }[self.mechanism]
            away.append(_chance(p, bit, self.missing.get(name, 0.0), self.slope))
        return np.stack(away)

    def patterns(self, structure: Structure) -> dict[Pattern, np.ndarray]:
        """Return p(R = r | outcome) by pattern, (class, 4, 4, ...), given that something is there."""
        away = self.chances(structure)
        nothing = away.prod(axis=0)
        return {
            pattern: np.prod([1 - one if there else one for one, there in zip(away, pattern, strict=True)], axis=0)
            / (1 - nothing)
            for pattern in patterns(structure.num_modalities)
        }


NO_HOLES = Holes()


def _chance(p: np.ndarray, bit: np.ndarray, rate: float, slope: float) -> np.ndarray:
    """Return sigmoid(a + slope * bit), with mean `rate` under p."""
    if rate == 0:
        return np.zeros(p.shape)
    share = float(p[bit == 1].sum())

    def excess(a: float) -> float:
        return (1 - share) * special.expit(a) + share * special.expit(a + slope) - rate

    return special.expit(optimize.brentq(excess, -60, 60) + slope * bit)


def joint(structure: Structure) -> np.ndarray:
    """Return p(label, symbol of each modality): (class, 4, 4, 4) or (class, 4, 4, 4, 4), summing to 1."""
    num_bits = structure.num_modalities
    p = np.zeros((2**num_bits, *[NUM_SYMBOLS] * num_bits))
    for label, *symbols in np.ndindex(p.shape):
        redundant, synergistic, *unique = (label >> place & 1 for place in reversed(range(num_bits)))
        (copy, *copies), (share_a, share_b, *unique_copies) = zip(
            *(divmod(symbol, 2) for symbol in symbols), strict=True
        )
        if any(other != copy for other in copies):
            continue
        fair = 0.5**num_bits * 0.5  # the label, and the coin in `a`
        p[label, *symbols] = (
            fair
            * _received(copy, redundant, structure.redundant)
            * _received(share_a ^ share_b, synergistic, structure.synergistic)
            * np.prod([_received(bit, sent, structure.unique) for bit, sent in zip(unique_copies, unique, strict=True)])
        )
    return p


def _received(bit: int, sent: int, dial: float) -> float:
    """Return the probability that the channel outputs `bit` when `sent` was sent."""
    return (1 + dial) / 2 if bit == sent else (1 - dial) / 2


def information(options: Mapping[str, Any], holes: Holes = NO_HOLES) -> dict[Pattern, float]:
    """Return I(X_S; Y) in nats for every set S of modalities, the complete one first, the empty one (0.0) last.

    On the samples that have S: where holes are not random, these are others than all.
    """
    structure = Structure.of(options)
    return {
        pattern: _information(_marginal(p, pattern)) if any(pattern) else 0.0
        for pattern, p in _of_holders(structure, holes).items()
    }


def bayes_accuracy(options: Mapping[str, Any], holes: Holes = NO_HOLES) -> dict[Pattern, float]:
    """Return the Bayes-optimal accuracy for every set S on the samples that have it; for the empty set the largest class share."""
    structure = Structure.of(options)
    return {
        pattern: float(_marginal(p, pattern).max(axis=0).sum()) for pattern, p in _of_holders(structure, holes).items()
    }


def presence_information(options: Mapping[str, Any], holes: Holes) -> float:
    """Return I(Y; R) in nats: what presence alone tells of the label."""
    structure = Structure.of(options)
    kept = joint(structure) * (1 - holes.chances(structure).prod(axis=0))
    shares = np.stack(
        [(kept * share).reshape(len(kept), -1).sum(axis=1) for share in holes.patterns(structure).values()], 1
    )
    return _information(shares / shares.sum())


def _of_holders(structure: Structure, holes: Holes) -> dict[Pattern, np.ndarray]:
    """Return p(label, symbols | R holds S) for every set S, the empty one's that of all."""
    p, there = joint(structure), 1 - holes.chances(structure)
    result = {}
    for pattern in _all_patterns(p):
        kept = p * np.prod([there[m] for m, is_asked in enumerate(pattern) if is_asked], axis=0)
        if not any(pattern):
            kept = p * (1 - (1 - there).prod(axis=0))
        result[pattern] = kept / kept.sum()
    return result


def entropy(options: Mapping[str, Any]) -> float:
    """Return H(Y) in nats."""
    p = joint(Structure.of(options))
    share = p.reshape(len(p), -1).sum(axis=1)
    return float(-(share * np.log(share)).sum())


def _all_patterns(p: np.ndarray) -> list[Pattern]:
    num_modalities = p.ndim - 1
    return [*patterns(num_modalities), (False,) * num_modalities]


def _marginal(p: np.ndarray, pattern: Pattern) -> np.ndarray:
    """Return p(label, symbols of `pattern`), (class, combination of symbols)."""
    absent = tuple(axis for axis, is_present in enumerate(pattern, start=1) if not is_present)
    return p.sum(axis=absent).reshape(len(p), -1)


def _information(p: np.ndarray) -> float:
    independent = p.sum(axis=1, keepdims=True) * p.sum(axis=0, keepdims=True)
    is_possible = p > 0
    return float((p[is_possible] * np.log(p[is_possible] / independent[is_possible])).sum())
