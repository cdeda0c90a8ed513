"""Flips, crops, rotations and colour jitter from torchvision, for images, maps and video frames.

All frames of a video get the same change. 128 images of 192 x 128 take 5 ms to flip, 30 to crop, 50 to scale, 85 to
jitter colours, 160 to rotate. torchvision is imported lazily: that takes 4 s, and most training does not need it.
"""

from collections.abc import Callable, Sequence

import torch

from umemma.errors import ParameterError
from umemma.training.augmentations.change import Change, seeded


def flip(value: bool, _: Sequence[int]) -> Change:
    """Flip half of the samples horizontally."""
    from torchvision.transforms import v2

    if value is not True:
        raise ValueError(f"is true or left out, not {value!r}")
    return _each(v2.RandomHorizontalFlip())


def crop_px(value: int, shape: Sequence[int]) -> Change:
    """Shift by up to `value` pixels vertically and horizontally; the border is filled by edge padding."""
    from torchvision.transforms import v2

    if not isinstance(value, int) or not 0 < value <= min(shape[-2:]):
        raise ValueError(f"is a whole number from 1 to the shorter side, {min(shape[-2:])}, not {value!r}")
    return _each(v2.RandomCrop(tuple(shape[-2:]), padding=value, padding_mode="edge"))


def scale(value: float, shape: Sequence[int]) -> Change:
    """Crop at least this share of the area, with a similar aspect ratio, and resize it (Szegedy et al. 2015)."""
    from torchvision.transforms import v2

    if not 0 < value < 1:
        raise ValueError(f"is a share of the area above 0 and below 1, not {value!r}")
    ratio = shape[-1] / shape[-2]
    return _each(v2.RandomResizedCrop(tuple(shape[-2:]), (value, 1.0), (ratio * 3 / 4, ratio * 4 / 3), antialias=True))


def rotate_degrees(value: float, _: Sequence[int]) -> Change:
    """Rotate by up to `value` degrees in either direction; the corners become 0."""
    from torchvision.transforms import v2

    if not 0 < value <= 180:
        raise ValueError(f"is a number of degrees above 0 and at most 180, not {value!r}")
    return _each(v2.RandomRotation(value, v2.InterpolationMode.BILINEAR))


def jitter(value: float, _: Sequence[int]) -> Change:
    """Change brightness, contrast and saturation by a factor in [1 - value, 1 + value] each; uint8 only."""
    from torchvision.transforms import v2

    if not 0 < value < 1:
        raise ValueError(f"is above 0 and below 1, not {value!r}")
    change = _each(v2.ColorJitter(value, value, value))

    def jittered(batch: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        if batch.dtype != torch.uint8:
            raise ParameterError(f"augment.jitter is for images, whose values are uint8; these are {batch.dtype}")
        return change(batch, generator)

    return jittered


def _each(transform: Callable[[torch.Tensor], torch.Tensor]) -> Change:
    def changed(batch: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        with seeded(generator):
            return torch.stack([transform(sample) for sample in batch])

    return changed
