"""Sounds and series of any length brought to one length: what is cut off, and what is put where nothing is."""

from collections.abc import Callable

import torch

from umemma.errors import ParameterError, unknown


def _end(value: torch.Tensor, length: int) -> torch.Tensor:
    return torch.nn.functional.pad(value, (0, length - value.shape[-1]))


def _both(value: torch.Tensor, length: int) -> torch.Tensor:
    before = (length - value.shape[-1]) // 2
    return torch.nn.functional.pad(value, (before, length - value.shape[-1] - before))


def _hold(value: torch.Tensor, length: int) -> torch.Tensor:
    last = value[..., -1:].expand(*value.shape[:-1], length - value.shape[-1])
    return torch.cat([value, last], dim=-1)


def _repeat(value: torch.Tensor, length: int) -> torch.Tensor:
    return value[..., torch.arange(length) % value.shape[-1]]


CROPS: dict[str, Callable[[int, int], int]] = {  # where what is kept begins, given the length there and the one wanted
    "start": lambda there, wanted: 0,
    "centre": lambda there, wanted: (there - wanted) // 2,
    "end": lambda there, wanted: there - wanted,
}
PADS: dict[str, Callable[[torch.Tensor, int], torch.Tensor]] = {
    "end": _end,  # zeros behind
    "both": _both,  # zeros on both sides
    "hold": _hold,  # the last value goes on
    "repeat": _repeat,  # once more from the beginning
}


def check(crop: str, pad: str) -> None:
    """Raise ParameterError where one of the rules does not exist."""
    if crop not in CROPS:
        raise ParameterError(unknown("decode.crop", "way to crop", crop, CROPS))
    if pad not in PADS:
        raise ParameterError(unknown("decode.pad", "way to pad", pad, PADS))


def first(there: int, wanted: int, crop: str) -> int:
    """Return where to begin so that `wanted` values are kept; 0 where there are no more than that."""
    return CROPS[crop](there, wanted) if there > wanted else 0


def fitted(value: torch.Tensor, length: int, *, crop: str, pad: str) -> torch.Tensor:
    """Return (..., length) of (..., time): a part where it is longer, filled up where it is shorter."""
    there = value.shape[-1]
    if there >= length:
        start = first(there, length, crop)
        return value[..., start : start + length]
    return PADS[pad](value, length)
