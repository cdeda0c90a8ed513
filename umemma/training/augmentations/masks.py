"""SpecAugment (Park et al. 2019, arXiv 1904.08779) with torchaudio's masks: bands of time or frequency masked out.

Masked values become the sample's mean, as in the paper, where the mean is 0: the arrays are not scaled yet. What was
not measured stays so.
"""

from collections.abc import Callable, Sequence

import torch

from umemma.training.augmentations.change import Change, seeded


def time_mask(value: int | Sequence[int], shape: Sequence[int]) -> Change:
    """Mask 0 to `value` consecutive frames; with a list, one mask per number."""
    return _masked(value, shape[-1], lambda length: (1, length), axis=-1)


def freq_mask(value: int | Sequence[int], shape: Sequence[int]) -> Change:
    """Mask a band of 0 to `value` frequencies; with a list, one mask per number."""
    return _masked(value, shape[-2], lambda length: (length, 1), axis=-2)


def _masked(value: int | Sequence[int], length: int, sides: Callable[[int], tuple[int, int]], *, axis: int) -> Change:
    from torchaudio.functional import mask_along_axis_iid

    widths = [value] if isinstance(value, int) else list(value)
    if not widths or not all(isinstance(width, int) and 0 < width <= length for width in widths):
        raise ValueError(f"is a whole number from 1 to {length}, or a list of them, not {value!r}")

    def masked(batch: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        keep = torch.ones(len(batch), 1, *sides(length))
        with seeded(generator):
            for width in widths:
                keep = mask_along_axis_iid(keep, width, 0.0, axis % keep.ndim)
        if batch.ndim == 3:  # a series has no axis of frequencies
            keep = keep[:, 0]
        means = batch.float().nanmean(dim=tuple(range(1, batch.ndim)), keepdim=True)
        return torch.where((keep > 0).to(batch.device) | batch.isnan(), batch, means.to(batch.dtype))

    return masked
