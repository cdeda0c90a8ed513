"""Encoded sound bytes to the raw waveform, for encoders that take it.

`store` int16 takes half the memory of float32 without loss for a 16-bit recording; the values are then 32,767 times as
large, which makes no difference to an encoder that standardises its input.
"""

import torch

from umemma.errors import ParameterError, unknown
from umemma.media import crop_or_pad
from umemma.media.waveform import check_channel, load

_FULL_SCALE = 32767
_STORES = ("float32", "float16", "int16")


class Decoder:
    """Decode sound, or a video's sound track, to (time,): `seconds` at `sample_rate_hz`, one channel, -1..1.

    `crop` (start, centre, end) a longer sound, `pad` (end, both, hold, repeat) a shorter one: see `crop_or_pad`.
    `channel` null averages the channels, a number takes one, `loudest` the one with the most energy in each sound.
    `full_scale` is the value that becomes 1: 32768 for a float WAV that holds the numbers of 16 bits. `store`: float32,
    float16, or int16 (-32,767..32,767).
    """

    def __init__(
        self,
        *,
        sample_rate_hz: int,
        seconds: float,
        crop: str = "start",
        pad: str = "end",
        channel: int | str | None = None,
        full_scale: float = 1.0,
        store: str = "float32",
    ) -> None:
        if sample_rate_hz < 1 or round(sample_rate_hz * seconds) < 1:
            raise ValueError(
                f"sample_rate_hz, seconds and their product must be above 0; they are {sample_rate_hz} and {seconds}"
            )
        if store not in _STORES:
            raise ParameterError(unknown("decode.store", "type to store", store, _STORES))
        crop_or_pad.check(crop, pad)
        check_channel(channel, full_scale)
        self._sample_rate_hz, self._num_samples = sample_rate_hz, round(sample_rate_hz * seconds)
        self._crop, self._pad, self._channel, self._store = crop, pad, channel, store
        self._full_scale = full_scale

    def __call__(self, content: bytes) -> torch.Tensor:
        """Return the waveform. Raises DataError for unreadable sound."""
        samples = load(
            content,
            sample_rate_hz=self._sample_rate_hz,
            num_samples=self._num_samples,
            crop=self._crop,
            channel=self._channel,
            full_scale=self._full_scale,
        )
        waveform = crop_or_pad.fitted(samples, self._num_samples, crop=self._crop, pad=self._pad)
        if self._store == "int16":
            return (waveform * _FULL_SCALE).round().clamp(-_FULL_SCALE, _FULL_SCALE).to(torch.int16)
        return waveform.to(getattr(torch, self._store))
