"""Handwritten digits and the keypad tone of the same digit, both in noise: a data set without a download.

The images are the 1,797 real 8x8 scans included in scikit-learn (UCI Optical Recognition of Handwritten Digits, test
set); noise is added so that neither modality alone suffices. The tone is the digit's dual tone of ITU-T Recommendation
Q.23, synthesised: it is a real signal format, not a recording. Noise, phase and SNR come from the sample's own random
generator, seeded with (seed, key): no sample depends on another.
"""

import gzip
import hashlib
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from umemma.data.sample import Sample
from umemma.sources.media_bytes import png, wav

SAMPLE_RATE_HZ = 8_000
NUM_SAMPLES = 2_048  # a quarter of a second
_ROW_HZ = (697, 770, 852, 941)
_COLUMN_HZ = (1209, 1336, 1477)
KEYPAD = {digit: (_ROW_HZ[(digit - 1) // 3], _COLUMN_HZ[(digit - 1) % 3]) for digit in range(1, 10)} | {
    0: (_ROW_HZ[3], _COLUMN_HZ[1])
}
_SPLIT_SHARES = (("train", 0.6), ("val", 0.15), ("test", 0.25))


class Adapter:
    """Random access to the digits; `num_samples[split]` samples, each made by `sample(split, index)`.

    `pixel_noise` is the standard deviation of the noise on pixels of 0..16; `snr_db` the range that the
    tone's signal-to-noise ratio is drawn from. The split is drawn by `seed`; each scan is in exactly one.
    """

    modalities = ("image", "audio")

    def __init__(
        self, root: Path, *, seed: int = 0, pixel_noise: float = 6.0, snr_db: Sequence[float] = (-24.0, -12.0)
    ) -> None:
        pixels, labels = _scans()
        self._seed, self._pixel_noise, self._snr_db = seed, pixel_noise, (float(snr_db[0]), float(snr_db[1]))
        self._images, self._labels = pixels, labels
        self._rows = _split(len(self._labels), seed)
        self.num_samples: Mapping[str, int] = {split: len(rows) for split, rows in self._rows.items()}

    def sample(self, split: str, index: int) -> Sample:
        """Make sample `index` of `split`; the same bytes every time, independent of other samples."""
        row = int(self._rows[split][index])
        label, key = int(self._labels[row]), f"digit-{row:04d}"
        rng = _generator(self._seed, key)
        image = self._images[row] + self._pixel_noise * rng.standard_normal((8, 8))
        return Sample(
            key=key,
            split=split,
            label=label,
            group=key,
            members={
                "image.png": png(_eight_bits(image)),
                "audio.wav": wav(_tone_in_noise(rng, label, self._snr_db), SAMPLE_RATE_HZ),
            },
        )


def _scans() -> tuple[np.ndarray, np.ndarray]:
    """Return images (sample, 8, 8) of 0..16 and digits (sample,), as scikit-learn's `load_digits` does.

    The file is read without importing the library, which would take longer than everything else here.
    """
    package = find_spec("sklearn")
    assert package is not None, "scikit-learn is a dependency of this package"
    assert package.origin is not None, "scikit-learn is an ordinary package"
    with gzip.open(Path(package.origin).parent / "datasets/data/digits.csv.gz", "rt", encoding="ascii") as file:
        table = np.loadtxt(file, delimiter=",")
    return table[:, :-1].reshape(-1, 8, 8), table[:, -1].astype(np.int64)


def _generator(seed: int, key: str) -> np.random.Generator:
    return np.random.default_rng(list(hashlib.sha256(f"{seed}/{key}".encode()).digest()))


def _split(num_rows: int, seed: int) -> dict[str, np.ndarray]:
    order = np.random.default_rng(seed).permutation(num_rows)
    bounds = np.rint(np.cumsum([share for _, share in _SPLIT_SHARES]) * num_rows).astype(int)
    return {split: np.sort(rows) for (split, _), rows in zip(_SPLIT_SHARES, np.split(order, bounds[:-1]), strict=True)}


def _tone_in_noise(rng: np.random.Generator, digit: int, snr_db: tuple[float, float]) -> np.ndarray:
    seconds = np.arange(NUM_SAMPLES) / SAMPLE_RATE_HZ
    tone = sum(np.sin(2 * np.pi * (hz * seconds + rng.random())) for hz in KEYPAD[digit])  # power 1
    mixture = tone + rng.standard_normal(NUM_SAMPLES) * 10 ** (-rng.uniform(*snr_db) / 20)
    return mixture * (0.95 / np.abs(mixture).max())


def _eight_bits(image: np.ndarray) -> np.ndarray:
    """Return pixels of about -16..32 (scan and noise) as 8 bit, so that the noise is not clipped away."""
    return np.clip(np.rint((image + 16) * (255 / 48)), 0, 255).astype(np.uint8)
