"""Planned experiments, and those of an ablation with their names.

Seeds are the outer loop: an ablation that is interrupted still leaves complete comparisons.
"""

import hashlib
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from umemma.errors import ParameterError, unknown
from umemma.training.arms import ARMS, Arm

# All that start from the towers of the run: `grown` starts from an earlier model (flows/grow.py).
CHOICES: Mapping[str, Arm] = {str(name): arm for name, arm in ARMS.items() if arm.fusion != "grown"}


@dataclass(frozen=True)
class Planned:
    """A planned experiment; `overrides` as in `dvc exp run -S`."""

    name: str
    overrides: tuple[str, ...]


def plan(
    dataset: str, arms: Sequence[str], seeds: Sequence[int], rates: Sequence[float], settings: Sequence[str]
) -> list[Planned]:
    """Return the cross product of arms and seeds; of `rates` (missing in training) too, for arms that hide modalities.

    settings: further overrides, for all. Raises ParameterError for unknown values and those without effect.
    """
    for arm in arms:
        if arm not in CHOICES:
            raise ParameterError(unknown("--arms", "arm", arm, CHOICES))
    if not seeds:
        raise ParameterError("--seeds: give one or more, as in --seeds 0 1 2")
    if wrong := [rate for rate in rates if not 0 <= rate <= 1]:
        raise ParameterError(f"--rates: {wrong[0]:g} is no missing rate; rates are fractions, 0 to 1")
    if rates and not any(CHOICES[arm].hides for arm in arms):
        raise ParameterError(f"--rates: none of these arms hides modalities in training: {', '.join(arms)}")
    taken = {"dataset", "arm", "seed", *(["fuse.missing_rate"] if rates else [])}
    for setting in settings:
        if (key := setting.partition("=")[0].lstrip("+~")) in taken:
            raise ParameterError(f"--set {setting}: {key} is set by the ablation itself")
    return [
        _planned(dataset, arm, seed, rate, settings)
        for seed, arm in itertools.product(dict.fromkeys(seeds), dict.fromkeys(arms))
        for rate in (dict.fromkeys(rates) if rates and CHOICES[arm].hides else [None])
    ]


def named(dataset: str, settings: Sequence[str]) -> str:
    """Return the name of an ablation's comparison: the data set, and a hash of the settings, if any."""
    return legal(dataset + _settings_hash(settings))


def legal(name: str) -> str:
    """Replace what git does not allow in the last part of a ref; it allows a plus and single dots."""
    return re.sub(r"^[.-]|\.(?=\.|$|lock$)|[^\w.+-]", "-", name, flags=re.ASCII)


def _planned(dataset: str, arm: str, seed: int, rate: float | None, settings: Sequence[str]) -> Planned:
    name = f"{dataset}-{arm}-s{seed}" + ("" if rate is None else f"-r{rate:g}") + _settings_hash(settings)
    hidden = () if rate is None else (f"fuse.missing_rate={rate}",)
    overrides = (f"dataset={dataset}", f"arm={arm}", f"seed={seed}", *hidden, *settings)
    return Planned(legal(name), overrides)


def _settings_hash(settings: Sequence[str]) -> str:
    return "-" + hashlib.sha256("\n".join(sorted(settings)).encode()).hexdigest()[:7] if settings else ""
