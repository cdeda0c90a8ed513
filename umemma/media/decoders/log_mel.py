"""Encoded sound bytes to a log-mel spectrogram by torchaudio, as speech and sound encoders expect it.

Stored as float16: its resolution is 0.008 or better for values within -16..16, finer than any recording's noise, at
half the memory of float32. Eight bits would need bounds, which a logarithm lacks. `scale: log` with n_fft 480, hop 160,
n_mels 40 at 16 kHz is the input of BC-ResNet for Speech Commands (Kim et al. 2021, arXiv 2106.04140).
"""

import torch
from torchaudio.functional import amplitude_to_DB
from torchaudio.transforms import MelSpectrogram

from umemma.errors import DataError, ParameterError, unknown
from umemma.media import crop_or_pad, waveform
from umemma.media.waveform import check_channel

_SCALES = ("log", "db")
_MAX_FLOAT16 = 60_000.0


class Decoder:
    """Decode sound, or a video's sound track, to float16 (1, mel, frame), `seconds * sample_rate_hz // hop + 1` frames.

    Power in `n_mels` bands from `f_min` to `f_max` Hz (null: half the rate) of a centred STFT, Hann window of `window`
    samples (null: `n_fft`). `scale`: `log` is the natural logarithm of power + `floor`; `db` is decibels above
    `floor`, cut at `top_db` below the loudest value of the sample (null: not cut). `crop`, `pad`, `channel` and
    `full_scale`: as in `waveform`, before the transform.
    """

    def __init__(
        self,
        *,
        sample_rate_hz: int,
        seconds: float,
        n_fft: int = 480,
        hop: int = 160,
        n_mels: int = 40,
        window: int | None = None,
        f_min: float = 0.0,
        f_max: float | None = None,
        scale: str = "log",
        floor: float = 1e-6,
        top_db: float | None = None,
        crop: str = "start",
        pad: str = "end",
        channel: int | str | None = None,
        full_scale: float = 1.0,
    ) -> None:
        self._num_samples = round(sample_rate_hz * seconds)
        top_hz = sample_rate_hz / 2 if f_max is None else f_max
        window = n_fft if window is None else window
        if min(sample_rate_hz, n_fft, hop, n_mels, window, floor) <= 0 or self._num_samples <= n_fft // 2:
            raise ValueError(
                "sample_rate_hz, n_fft, hop, n_mels, window and floor must be above 0, and seconds longer "
                f"than half of n_fft {n_fft}; seconds are {seconds}"
            )
        if not 0 <= f_min < top_hz <= sample_rate_hz / 2 or window > n_fft:
            raise ValueError(
                f"0 <= f_min < f_max <= sample_rate_hz / 2 and window <= n_fft; they are {f_min}, {f_max} and {window}"
            )
        if scale not in _SCALES:
            raise ParameterError(unknown("decode.scale", "scale", scale, _SCALES))
        if top_db is not None and (scale != "db" or top_db <= 0):
            raise ValueError(f"top_db is above 0 and goes with scale db; it is {top_db} with scale {scale}")
        crop_or_pad.check(crop, pad)
        check_channel(channel, full_scale)
        self._sample_rate_hz, self._scale, self._floor, self._top_db = sample_rate_hz, scale, floor, top_db
        self._crop, self._pad, self._channel, self._full_scale = crop, pad, channel, full_scale
        self._mel = MelSpectrogram(
            sample_rate_hz, n_fft, win_length=window, hop_length=hop, f_min=f_min, f_max=top_hz, n_mels=n_mels
        )

    def __call__(self, content: bytes) -> torch.Tensor:
        """Return the spectrogram. Raises DataError for unreadable sound."""
        samples = waveform.load(
            content,
            sample_rate_hz=self._sample_rate_hz,
            num_samples=self._num_samples,
            crop=self._crop,
            channel=self._channel,
            full_scale=self._full_scale,
        )
        power = self._mel(crop_or_pad.fitted(samples, self._num_samples, crop=self._crop, pad=self._pad))
        if self._scale == "log":
            value = (power + self._floor).log()
        else:
            value = amplitude_to_DB(power, 10.0, self._floor, 0.0, self._top_db)
        if not value.abs().max() < _MAX_FLOAT16:
            raise DataError("sound holds values beyond any full scale")
        return value[None].to(torch.float16)
