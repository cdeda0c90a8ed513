"""Encoded sound bytes to a uint8 log-spectrogram.

Eight bits over `top_db` decibels (0.24 dB per step at 60 dB) are far finer than the noise in any recording here, at a
quarter of the memory of float32.
"""

import torch
from torchaudio.functional import spectrogram

from umemma.errors import DataError
from umemma.media.waveform import check_channel, load


class Decoder:
    """Decode sound, or a video's sound track, to uint8 (1, frequency, frame), relative to the sample's loudest bin.

    Magnitudes of a centred Hann STFT (`n_fft`, `hop` in samples at `sample_rate_hz`), in decibels below the sample's
    maximum, cut at `top_db` and scaled to 0..255; `frames` columns, cropped or padded with silence (0); `min_bin` and
    `max_bin` keep a band of the `n_fft // 2 + 1` frequencies. Other rates are
    resampled; `channel`: as in `waveform`.
    """

    def __init__(
        self,
        *,
        sample_rate_hz: int,
        n_fft: int,
        hop: int,
        frames: int,
        top_db: float = 60.0,
        min_bin: int = 0,
        max_bin: int | None = None,
        channel: int | str | None = None,
    ) -> None:
        if min(sample_rate_hz, n_fft, hop, frames, top_db) <= 0 or not 0 <= min_bin < (max_bin or n_fft // 2 + 1):
            raise ValueError(
                f"sample_rate_hz, n_fft, hop, frames and top_db must be above 0, min_bin below max_bin "
                f"and {n_fft // 2 + 1}"
            )
        check_channel(channel, 1.0)
        self._channel = channel
        self._sample_rate_hz, self._n_fft, self._hop, self._frames = sample_rate_hz, n_fft, hop, frames
        self._top_db, self._bins = top_db, slice(min_bin, max_bin)
        self._window = torch.hann_window(n_fft)

    def __call__(self, content: bytes) -> torch.Tensor:
        """Return the spectrogram. Raises DataError for unreadable sound and for too little of it."""
        num_needed = self._frames * self._hop + self._n_fft  # later samples affect no column that is kept
        waveform = load(content, sample_rate_hz=self._sample_rate_hz, num_samples=num_needed, channel=self._channel)
        if len(waveform) <= self._n_fft // 2:
            raise DataError(f"sound has {len(waveform)} samples, too few for decode.n_fft {self._n_fft}")
        magnitude = spectrogram(waveform, 0, self._window, self._n_fft, self._hop, self._n_fft, 1.0, False)
        decibels = 20 * torch.log10(magnitude[self._bins, : self._frames].clamp_min(1e-10))
        decibels = (decibels - decibels.max()).clamp_min(-self._top_db)
        image = ((decibels / self._top_db + 1) * 255).round().to(torch.uint8)
        return torch.nn.functional.pad(image, (0, self._frames - image.shape[1]))[None]
