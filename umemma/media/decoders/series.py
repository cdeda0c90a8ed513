"""A series of measurements, stored as the bytes of a .npy file (step, channel), to a float32 tensor (channel, time).

What was not measured is NaN, and so is what a short series is padded with: 0 would be a measurement, and in a series of
air pressure an absurd one.
"""

import math

import torch

from umemma.errors import ParameterError, unknown
from umemma.media import crop_or_pad
from umemma.media.kinds import array

_FITS = ("crop", "stretch")


class Decoder:
    """Decode a .npy file of real numbers, (step, channel) or (step,) for one channel, to float32 (channel, time).

    `length` null keeps the length, which must then be the same for all samples. `fit: crop` crops longer series by
    `crop` (start, centre, end) and pads shorter ones by `pad`: with NaN at the end or on both sides (end, both), or with
    what was measured (hold, repeat). `fit: stretch` interpolates linearly to `length` points, first and last step kept,
    without a low-pass filter first.
    """

    def __init__(self, *, length: int | None = None, fit: str = "crop", crop: str = "start", pad: str = "end") -> None:
        if length is not None and (not isinstance(length, int) or length < 1):
            raise ValueError(f"length is null or a whole number above 0, not {length!r}")
        if fit not in _FITS:
            raise ParameterError(unknown("decode.fit", "way to fit", fit, _FITS))
        crop_or_pad.check(crop, pad)
        self._length, self._fit, self._crop, self._pad = length, fit, crop, pad

    def __call__(self, content: bytes) -> torch.Tensor:
        """Return the series. Raises DataError for unreadable bytes, other shapes or types, and infinity."""
        values = torch.from_numpy(array.read(content, axes=(2, 1)))
        series = (values[:, None] if values.ndim == 1 else values).T
        if self._length is None:
            return series
        if self._fit == "stretch":
            return _stretched(series, self._length)
        return crop_or_pad.fitted(series, self._length, crop=self._crop, pad=self._pad, fill=math.nan)


def _stretched(series: torch.Tensor, length: int) -> torch.Tensor:
    """Interpolate between what was measured; a point that is nearer to what was not becomes NaN."""
    missing = series.isnan()
    if not missing.any():
        return _interpolated(series, length)
    weight = _interpolated((~missing).float(), length)
    values = _interpolated(series.masked_fill(missing, 0.0), length) / weight
    return values.masked_fill(weight < 0.5, math.nan)


def _interpolated(series: torch.Tensor, length: int) -> torch.Tensor:
    return torch.nn.functional.interpolate(series[None], length, mode="linear", align_corners=True)[0]
