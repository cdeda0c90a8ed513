"""Augmentation: decoded values of a training batch changed at random, by the settings `augment` of a modality.

Never in validation or use, and not where cached features are trained on. The random numbers come from (seed, step,
modality) alone, so that a run repeats and that one modality's augmentation does not move another's; torch's global
randomness, which dropout draws from, is left as it was. The changes are made in the order of the table below.
"""

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from umemma.data.batch import Batch
from umemma.errors import SettingError, unknown
from umemma.training.augmentations import masks, pictures, signals
from umemma.training.augmentations.change import Change


@dataclass(frozen=True)
class Augmentation:
    """How one is made from its setting and the shape, and for how many axes of a sample it has a meaning."""

    make: Callable[[Any, Sequence[int]], Change]
    axes: Collection[int]


AUGMENTATIONS = {
    "flip": Augmentation(pictures.flip, (3, 4)),
    "crop_px": Augmentation(pictures.crop_px, (3, 4)),
    "scale": Augmentation(pictures.scale, (3, 4)),
    "rotate_degrees": Augmentation(pictures.rotate_degrees, (3, 4)),
    "jitter": Augmentation(pictures.jitter, (3, 4)),
    "shift": Augmentation(signals.shift, (1, 2, 3)),
    "gain_db": Augmentation(signals.gain_db, (1, 2)),
    "noise": Augmentation(signals.noise, (1, 2, 3, 4)),
    "time_mask": Augmentation(masks.time_mask, (2, 3)),
    "freq_mask": Augmentation(masks.freq_mask, (3,)),
    "word_drop": Augmentation(signals.word_drop, (1,)),
}


def build(settings: Mapping[str, Any], shape: Sequence[int], where: str = "augment") -> Change:
    """Return a function (batch, *shape), generator -> the same shape and type, each sample changed in its own way.

    Raises SettingError, naming `where` and the choices, for a name or value that does not exist or does not fit
    the shape.
    """
    fitting = [name for name, one in AUGMENTATIONS.items() if len(shape) in one.axes]
    changes: list[Change] = []
    for name in settings:
        if name not in fitting:
            raise SettingError(unknown(where, f"augmentation of {len(shape)} axes {tuple(shape)}", name, fitting))
    for name in (one for one in fitting if one in settings):
        try:
            changes.append(AUGMENTATIONS[name].make(settings[name], shape))
        except (ValueError, TypeError) as error:
            raise SettingError(f"{where}.{name} {error}") from error

    def changed(batch: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        for change in changes:
            batch = change(batch, generator)
        return batch

    return changed


def of_batches(
    settings: Mapping[str, Mapping[str, Any]], shapes: Mapping[str, Sequence[int]], seed: int
) -> Callable[[Batch, int], Batch] | None:
    """Return a function (batch, step) -> batch for the modalities whose `settings` are not empty; None where all are.

    Rows of a missing modality are changed like others; nothing depends on them.
    """
    built = {
        name: build(settings[name], shape, f"dataset.modalities.{name}.augment")
        for name, shape in shapes.items()
        if settings.get(name)
    }
    if not built:
        return None

    def changed(batch: Batch, step: int) -> Batch:
        return batch.with_values(
            {
                name: built[name](value, _generator(seed, step, name)) if name in built else value
                for name, value in batch.values.items()
            }
        )

    return changed


def _generator(seed: int, step: int, modality: str) -> torch.Generator:
    digest = hashlib.sha256(f"augment {seed} {step} {modality}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
