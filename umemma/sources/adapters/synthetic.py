"""Vectors with exactly known information about the label: redundant, unique and synergistic, with one dial each.

Samples come from the known distribution p(label, symbols). A modality's vector is x = sum_j s_j e_j + noise: its
symbol's two bits as signs s_j, along its own orthonormal random directions e_j, and Gaussian noise with standard
deviation NOISE. Projection on e_j gives s_j with that noise, so a sign is misread with probability Phi(-1 / NOISE):
8e-24 at 0.1. By Fano's inequality I(X_S; Y) is then within 1e-20 nats of I(Z_S; Y), far below any rounding.

A sample is drawn from (seed, key) only; its missing modalities come from a separate generator of (seed, key).
"""

import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from umemma.data.sample import SPLITS, Sample
from umemma.errors import ParameterError, unknown
from umemma.missingness import Pattern
from umemma.sources import synthetic_distribution
from umemma.sources.synthetic_distribution import NUM_SYMBOLS, Holes, Structure, joint

DIM = 16
MOST_SLOPE = 20
NOISE = 0.1
NUM_SAMPLES = MappingProxyType({"train": 12_000, "val": 2_000, "test": 10_000})
_SIGNS = np.array([np.unravel_index(symbol, (2, 2)) for symbol in range(NUM_SYMBOLS)]) * 2 - 1  # (symbol, bit)


class Adapter:
    """Random access to synthetic vectors; `num_samples[split]` samples, each made by `sample(split, index)`.

    `redundant`, `unique` and `synergistic` are dials of 0..1 (0: pure noise, 1: no noise). `missing` is the rate, 0 or
    more and below 1, at which modalities are really missing: one for all, or by name (an unnamed one is always
    present). If all would be missing, the mask is redrawn. Four modalities need a modality `d` and 16 classes in
    params.yaml; the adapter does not see those: stages `decode` and `validate` report a mismatch.
    """

    def __init__(
        self,
        root: Path,
        *,
        seed: int = 0,
        num_modalities: int = Structure.num_modalities,
        redundant: float = Structure.redundant,
        unique: float = Structure.unique,
        synergistic: float = Structure.synergistic,
        missing: float | Mapping[str, float] = MappingProxyType({}),
        mechanism: str = Holes.mechanism,
        slope: float = Holes.slope,
        num_samples: Mapping[str, int] = NUM_SAMPLES,
    ) -> None:
        structure = Structure(num_modalities, redundant, unique, synergistic)
        self.modalities = structure.modalities
        self.num_samples: Mapping[str, int] = _checked_sizes(num_samples)
        self._seed = seed
        p, away = joint(structure), _holes(missing, mechanism, slope, self.modalities).chances(structure)
        self._outcomes = np.argwhere(p > 0)  # (outcome, 1 + modality): label and symbols
        self._away = away[:, p > 0]  # (modality, outcome)
        self._cumulative = np.cumsum(p[p > 0])
        self._header = _npy_header()
        self.directions = {name: _directions(_generator(seed, f"directions of {name}")) for name in self.modalities}
        self._means = {name: _SIGNS @ directions for name, directions in self.directions.items()}  # (symbol, DIM)

    def sample(self, split: str, index: int) -> Sample:
        """Make sample `index` of `split`; the same bytes every time, independent of other samples."""
        key = f"{split}-{index:05d}"
        rng = _generator(self._seed, key)
        outcome = self._drawn(rng)
        label, *symbols = map(int, self._outcomes[outcome])
        noise = NOISE * rng.standard_normal((len(symbols), DIM))
        vectors = {
            name: (self._means[name][symbol] + noise[m]).astype("<f4").tobytes()
            for m, (name, symbol) in enumerate(zip(self.modalities, symbols, strict=True))
        }
        return Sample(
            key=key,
            split=split,
            label=label,
            group=key,
            members={f"{name}.npy": self._header + vectors[name] for name in self._present(key, outcome)},
        )

    def latent(self, split: str, index: int) -> tuple[int, ...]:
        """Return a sample's label and every modality's symbol, 0..3, from which its vectors are made."""
        return tuple(
            int(value) for value in self._outcomes[self._drawn(_generator(self._seed, f"{split}-{index:05d}"))]
        )

    def _drawn(self, rng: np.random.Generator) -> int:
        return int(np.searchsorted(self._cumulative, rng.random() * self._cumulative[-1], side="right"))

    def _present(self, key: str, outcome: int) -> list[str]:
        rng = _generator(self._seed, f"{key} is missing")  # a generator of its own, so that other holes change no value
        kept = rng.random(len(self.modalities)) >= self._away[:, outcome]
        while not kept.any():
            kept = rng.random(len(self.modalities)) >= self._away[:, outcome]
        return [name for name, is_kept in zip(self.modalities, kept, strict=True) if is_kept]


def information(options: Mapping[str, Any]) -> dict[Pattern, float]:
    """Return the true I(X_S; Y) in nats for every pattern on the samples that have it, the reference for the accounting."""
    return synthetic_distribution.information(options, _holes_of(options))


def bayes_accuracy(options: Mapping[str, Any]) -> dict[Pattern, float]:
    """Return the accuracy of the best possible answers for every pattern on the samples that have it."""
    return synthetic_distribution.bayes_accuracy(options, _holes_of(options))


def _holes_of(options: Mapping[str, Any]) -> Holes:
    given = {name: options[name] for name in ("mechanism", "slope") if name in options}
    law: dict[str, Any] = {"mechanism": Holes.mechanism, "slope": Holes.slope} | given
    return _holes(options.get("missing", {}), modalities=Structure.of(options).modalities, **law)


def _checked_sizes(num_samples: Mapping[str, int]) -> dict[str, int]:
    if not isinstance(num_samples, Mapping):
        raise ParameterError(f"dataset.options.num_samples must be {{train: ., val: ., test: .}}, not {num_samples!r}")
    for split in num_samples:
        if split not in SPLITS:
            raise ParameterError(unknown("dataset.options.num_samples", "split", split, SPLITS))
    for split in SPLITS:
        if type(num_samples.get(split)) is not int or num_samples[split] < 1:
            raise ParameterError(
                f"dataset.options.num_samples.{split} must be a whole number of 1 or more, not "
                f"{num_samples.get(split)!r}"
            )
    return dict(num_samples)


def _holes(missing: float | Mapping[str, float], mechanism: str, slope: float, modalities: Sequence[str]) -> Holes:
    if not isinstance(missing, Mapping):
        always = {"a"} if mechanism == "mar" else set()
        missing = {name: missing for name in modalities if name not in always}
    for name, rate in missing.items():
        if name not in modalities:
            raise ParameterError(unknown("dataset.options.missing", "modality", name, modalities))
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate < 1:
            raise ParameterError(
                f"dataset.options.missing: the rate of {name} must be 0 or more and below 1, not {rate!r}"
            )
    if isinstance(slope, bool) or not isinstance(slope, int | float) or not abs(slope) <= MOST_SLOPE:
        raise ParameterError(f"dataset.options.slope must be a number of -{MOST_SLOPE} to {MOST_SLOPE}, not {slope!r}")
    return Holes(missing, mechanism, slope)


def _directions(rng: np.random.Generator) -> np.ndarray:
    """Return (2, DIM): two orthonormal directions."""
    return np.linalg.qr(rng.standard_normal((DIM, 2)))[0].T


def _generator(seed: int, key: str) -> np.random.Generator:
    digest = hashlib.sha256(f"{seed}/{key}".encode()).digest()
    return np.random.default_rng(np.frombuffer(digest, "<u4"))


def _npy_header() -> bytes:
    """Return the header of a .npy file of DIM float32 values; rewriting it each time took a third of the time."""
    buffer = io.BytesIO()
    np.save(buffer, np.empty(DIM, "<f4"))
    return buffer.getvalue()[: -4 * DIM]
