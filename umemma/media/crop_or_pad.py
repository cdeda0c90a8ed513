"""Crop or pad sounds and series to a fixed length."""

from collections.abc import Callable

import torch

from umemma.errors import ParameterError, unknown


def _end(value: torch.Tensor, length: int, fill: float) -> torch.Tensor:
    return torch.nn.functional.pad(value, (0, length - value.shape[-1]), value=fill)


def _both(value: torch.Tensor, length: int, fill: float) -> torch.Tensor:
    before = (length - value.shape[-1]) // 2
    return torch.nn.functional.pad(value, (before, length - value.shape[-1] - before), value=fill)


def _hold(value: torch.Tensor, length: int, _: float) -> torch.Tensor:
    last = value[..., -1:].expand(*value.shape[:-1], length - value.shape[-1])
    return torch.cat([value, last], dim=-1)


def _repeat(value: torch.Tensor, length: int, _: float) -> torch.Tensor:
    return value[..., torch.arange(length) % value.shape[-1]]


CROPS: dict[
    str, Callable[[int, int], int]
] = {  # start of the part that is kept, given the actual and the wanted length
    "start": lambda length, wanted: 0,
    "centre": lambda length, wanted: (length - wanted) // 2,
    "end": lambda length, wanted: length - wanted,
}
PADS: dict[str, Callable[[torch.Tensor, int, float], torch.Tensor]] = {
    "end": _end,  # at the end, by silence, or in a series by what was not measured
    "both": _both,  # the same on both sides
    "hold": _hold,  # the last value, repeated
    "repeat": _repeat,  # the whole, repeated from the beginning
}


def check(crop: str, pad: str) -> None:
    """Raise ParameterError if one of the rules does not exist."""
    if crop not in CROPS:
        raise ParameterError(unknown("decode.crop", "way to crop", crop, CROPS))
    if pad not in PADS:
        raise ParameterError(unknown("decode.pad", "way to pad", pad, PADS))


def first(length: int, wanted: int, crop: str) -> int:
    """Return the start of the `wanted` values to keep, out of `length`; 0 if there are no more than that."""
    return CROPS[crop](length, wanted) if length > wanted else 0


def fitted(value: torch.Tensor, length: int, *, crop: str, pad: str, fill: float = 0.0) -> torch.Tensor:
    """Return (..., length) of (..., time): cropped if it is longer, padded (with `fill`) if it is shorter."""
    num_values = value.shape[-1]
    if num_values >= length:
        start = first(num_values, length, crop)
        return value[..., start : start + length]
    return PADS[pad](value, length, fill)
