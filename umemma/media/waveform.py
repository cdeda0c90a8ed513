"""Encoded sound, or the sound track of a video, to one channel at one rate: used by every audio decoder.

Channels are averaged, or one is selected. Other rates are resampled by torchaudio's windowed sinc, so that files of
mixed rates can be combined; upsampling does not restore high frequencies, and the manifest keeps the original rate.
Only the requested part is read.
"""

import math
from functools import lru_cache

import torch
from torchaudio.transforms import Resample

from umemma.errors import DataError
from umemma.media import crop_or_pad
from umemma.media.kinds import sound

_MAX_KERNEL = 1 << 24  # values of the resampling filter, 64 MiB: rates without a common divisor would take gigabytes


def load(
    content: bytes,
    *,
    sample_rate_hz: int,
    num_samples: int | None = None,
    crop: str = "start",
    channel: int | None = None,
) -> torch.Tensor:
    """Return float32 (time,) at `sample_rate_hz`, at most `num_samples` long, of a longer sound the part `crop`.

    `channel` null averages them. Raises DataError for unreadable or empty sound, a missing channel, or NaN.
    """
    known = sound.header(content)
    if channel is not None and channel >= known.channels:
        raise DataError(f"sound has {known.channels} channels, decode.channel is {channel} (the first is 0)")
    first, last = 0, None
    if num_samples is not None:
        wanted = math.ceil(num_samples * known.rate_hz / sample_rate_hz)
        first = 0 if crop == "start" else crop_or_pad.first(sound.count(content, known), wanted, crop)
        last = first + wanted
    parts = [_one_channel(torch.from_numpy(block), channel) for block in sound.blocks(content, known, first, last)]
    if not parts:
        raise DataError("no readable sound: it has 0 samples")
    waveform = torch.cat(parts)
    if not waveform.isfinite().all():
        raise DataError("sound holds NaN or infinity")
    if known.rate_hz != sample_rate_hz:
        waveform = _resampler(known.rate_hz, sample_rate_hz)(waveform)
    return waveform[:num_samples]


def _one_channel(block: torch.Tensor, channel: int | None) -> torch.Tensor:
    return block.mean(dim=1) if channel is None else block[:, channel]


@lru_cache(maxsize=8)
def _resampler(rate_hz: int, wanted_hz: int) -> Resample:
    common = math.gcd(rate_hz, wanted_hz)
    if (rate_hz // common) * (wanted_hz // common) > _MAX_KERNEL:
        raise DataError(
            f"sound has {rate_hz} Hz, which has too little in common with decode.sample_rate_hz "
            f"{wanted_hz} to be resampled"
        )
    return Resample(rate_hz, wanted_hz)
