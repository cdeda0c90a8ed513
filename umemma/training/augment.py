"""Augmentation: random changes to the arrays of a training batch, from the settings `augment` of a modality.

Never in validation or inference, nor when training on cached features. The random numbers depend on (seed, step,
modality) only, so a run is reproducible and one modality's augmentation does not affect another's; torch's global RNG,
which dropout uses, is left untouched. Changes are applied in the order of the table below.
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
    """How it is built from its setting and the shape, and the numbers of sample axes that it supports."""

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
    """Return a function (batch, *shape), generator -> the same shape and dtype, which changes each sample independently.

    Raises SettingError, naming `where` and the choices, for an unknown name, or a value that is invalid or does not fit
    the shape.
    """
    fitting = [name for name, augmentation in AUGMENTATIONS.items() if len(shape) in augmentation.axes]
    changes: list[Change] = []
    for name in settings:
        if name not in fitting:
            raise SettingError(unknown(where, f"augmentation of {len(shape)} axes {tuple(shape)}", name, fitting))
    for name in (kind for kind in fitting if kind in settings):
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
    """Return a function (batch, step) -> batch for the modalities with non-empty `settings`; None if all are empty.

    Rows of a missing modality are changed too; nothing depends on them.
    """
    changes = {
        name: build(settings[name], shape, f"dataset.modalities.{name}.augment")
        for name, shape in shapes.items()
        if settings.get(name)
    }
    if not changes:
        return None

    def changed(batch: Batch, step: int) -> Batch:
        return batch.with_values(
            {
                name: changes[name](value, _generator(seed, step, name)) if name in changes else value
                for name, value in batch.values.items()
            }
        )

    return changed


def _generator(seed: int, step: int, modality: str) -> torch.Generator:
    digest = hashlib.sha256(f"augment {seed} {step} {modality}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
