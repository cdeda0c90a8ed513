"""Augmentation of waveforms, series, vectors and word ids that needs no library."""

from collections.abc import Sequence

import torch

from umemma.errors import ParameterError
from umemma.models import measured
from umemma.training.augmentations.change import Change


def shift(value: float, shape: Sequence[int]) -> Change:
    """Shift along the last axis by up to this share of its length, either way, with edge padding."""
    max_shift = round(value * shape[-1]) if 0 < value < 1 else 0
    if max_shift < 1:
        raise ValueError(f"is a share of the length {shape[-1]} of at least one step and below 1, not {value!r}")

    def shifted(batch: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        offset = torch.randint(-max_shift, max_shift + 1, (len(batch), 1), generator=generator)
        index = (torch.arange(shape[-1]) + offset).clamp(0, shape[-1] - 1)
        index = index.reshape(len(batch), *[1] * (batch.ndim - 2), shape[-1]).expand(batch.shape)
        return batch.gather(-1, index.to(batch.device))

    return shifted


def gain_db(value: float, _: Sequence[int]) -> Change:
    """Change the gain by up to `value` decibels in either direction."""
    if not 0 < value <= 60:
        raise ValueError(f"is a number of decibels above 0 and at most 60, not {value!r}")

    def louder(batch: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        decibels = (2 * _uniform(batch, generator) - 1) * value
        return _as_before(batch.float() * 10 ** (decibels / 20), batch, "gain_db")

    return louder


def noise(value: float, _: Sequence[int]) -> Change:
    """Add Gaussian noise with this share of each sample's standard deviation."""
    if not 0 < value <= 10:
        raise ValueError(f"is a share of the standard deviation above 0 and at most 10, not {value!r}")

    def noisy(batch: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        floats = batch.float()
        deviation = measured.std(floats, dim=tuple(range(1, batch.ndim)), keepdim=True)
        drawn = torch.randn(batch.shape, generator=generator).to(batch.device)
        return _as_before(floats + value * deviation * drawn, batch, "noise")

    return noisy


def word_drop(value: float, _: Sequence[int]) -> Change:
    """Replace each word with this probability by 0, the padding id."""
    if not 0 < value < 1:
        raise ValueError(f"is a probability above 0 and below 1, not {value!r}")

    def dropped(batch: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        if batch.dtype not in (torch.int32, torch.int64):
            raise ParameterError(f"augment.word_drop is for word ids, whose values are int32; these are {batch.dtype}")
        return batch.masked_fill((torch.rand(batch.shape, generator=generator) < value).to(batch.device), 0)

    return dropped


def _uniform(batch: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return a random number per sample, broadcastable to the batch."""
    return torch.rand((len(batch), *[1] * (batch.ndim - 1)), generator=generator).to(batch.device)


def _as_before(changed: torch.Tensor, batch: torch.Tensor, name: str) -> torch.Tensor:
    """Return the values in the batch's dtype: integers are rounded and clamped to its range."""
    if batch.dtype in (torch.int32, torch.int64):
        raise ParameterError(f"augment.{name}: these values are {batch.dtype}, ids of words, of which it makes others")
    if not batch.dtype.is_floating_point:
        bounds = torch.iinfo(batch.dtype)
        changed = changed.round().clamp(bounds.min, bounds.max)
    return changed.to(batch.dtype)
