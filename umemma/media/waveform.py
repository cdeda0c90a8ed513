"""Encoded sound, or the sound track of a video, to one channel at one rate: used by every audio decoder.

Channels are averaged, or one is selected: the average of two channels of opposite polarity is silence. Other rates are
resampled by torchaudio's windowed sinc, so that files of mixed rates can be combined; upsampling does not restore high
frequencies, and the manifest keeps the original rate. Only the requested part is read.
"""

import math
from functools import lru_cache

import torch
from torchaudio.transforms import Resample

from umemma.errors import DataError, ParameterError
from umemma.media import crop_or_pad
from umemma.media.kinds import sound

LOUDEST = "loudest"
_MAX_KERNEL = 1 << 24  # values of the resampling filter, 64 MiB: rates without a common divisor would take gigabytes


def load(
    content: bytes,
    *,
    sample_rate_hz: int,
    num_samples: int | None = None,
    crop: str = "start",
    channel: int | str | None = None,
    full_scale: float = 1.0,
) -> torch.Tensor:
    """Return float32 (time,) at `sample_rate_hz`, at most `num_samples` long, of a longer sound the part `crop`.

    `channel` null averages them, `loudest` takes the one with the most energy. `full_scale` becomes 1. Raises DataError
    for unreadable or empty sound, a missing channel, or NaN.
    """
    known = sound.header(content)
    if isinstance(channel, int) and channel >= known.channels:
        raise DataError(f"sound has {known.channels} channels, decode.channel is {channel} (the first is 0)")
    first, last = 0, None
    if num_samples is not None:
        wanted = math.ceil(num_samples * known.rate_hz / sample_rate_hz)
        first = 0 if crop == "start" else crop_or_pad.first(sound.count(content, known), wanted, crop)
        last = first + wanted
    parts = [_few_channels(torch.from_numpy(block), channel) for block in sound.blocks(content, known, first, last)]
    if not parts:
        raise DataError("no readable sound: it has 0 samples")
    waveform = _loudest(torch.cat(parts)) / full_scale
    if not waveform.isfinite().all():
        raise DataError("sound holds NaN or infinity")
    if known.rate_hz != sample_rate_hz:
        waveform = _resampler(known.rate_hz, sample_rate_hz)(waveform)
    return waveform[:num_samples]


def check_channel(channel: object, full_scale: float) -> None:
    """Raise ParameterError if `channel` is no choice of a channel, or full scale is not above 0."""
    is_number = isinstance(channel, int) and not isinstance(channel, bool) and channel >= 0
    if not (channel is None or channel == LOUDEST or is_number):
        raise ParameterError(f"decode.channel is null, a number from 0 on or {LOUDEST}, not {channel!r}")
    if not full_scale > 0:
        raise ParameterError(f"decode.full_scale is above 0, not {full_scale!r}")


def _few_channels(block: torch.Tensor, channel: int | str | None) -> torch.Tensor:
    """Return (time, channel): one channel, or all of them, of which the loudest can be chosen only at the end."""
    if channel == LOUDEST:
        return block
    return block.mean(dim=1, keepdim=True) if channel is None else block[:, [int(channel)]]


def _loudest(waveform: torch.Tensor) -> torch.Tensor:
    """Return (time,) of (time, channel): the channel with the most energy, the first of equals."""
    return waveform[:, waveform.double().square().sum(dim=0).argmax()]


@lru_cache(maxsize=8)
def _resampler(rate_hz: int, wanted_hz: int) -> Resample:
    common = math.gcd(rate_hz, wanted_hz)
    if (rate_hz // common) * (wanted_hz // common) > _MAX_KERNEL:
        raise DataError(
            f"sound has {rate_hz} Hz, which has too little in common with decode.sample_rate_hz "
            f"{wanted_hz} to be resampled"
        )
    return Resample(rate_hz, wanted_hz)
