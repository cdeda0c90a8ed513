"""AV-MNIST: MNIST with most of its variance removed, and a spoken digit (FSDD) in loud noise.

At least three incompatible data sets go by this name, so a result on it means nothing without the data's fingerprint,
which is in the results. This variant is deterministic and independent of order: each sample has its own random
generator, seeded by split and index. Decisions:

- PCA is fitted on the training images only. Published variants fit it on train and test separately.
- A recording belongs to one split: FSDD index 0-4 test, 5-9 validation, 10-49 training; it is the sample's group.
- `held_out_speaker` is the harder variant: that speaker is in test only, and test holds only that speaker.

Sources: MNIST (LeCun, Cortes, Burges), FSDD (Jackson et al., github.com/Jakobovski/free-spoken-digit-dataset).
"""

import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import soundfile
from sklearn.decomposition import PCA

from umemma.data.sample import Sample
from umemma.errors import DataError, ParameterError
from umemma.sources.media_bytes import png, wav

SAMPLE_RATE_HZ = 8_000
NUM_SAMPLES = 8_000  # one second
SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
CONTENT_SHA256 = {  # uncompressed; conf/dataset/avmnist.sha256 is of the .gz files as LeCun published them
    "mnist/train-images-idx3-ubyte.gz": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "mnist/train-labels-idx1-ubyte.gz": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "mnist/t10k-images-idx3-ubyte.gz": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "mnist/t10k-labels-idx1-ubyte.gz": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
_SPLIT_ID = {"train": 0, "val": 1, "test": 2}
_NUM_TRAIN = 55_000
_NUM_IMAGES = {"train": 60_000, "t10k": 10_000}
_FULL_SCALE = 0.95  # peak of every written wav; the spectrogram is relative to its own maximum


def raw_files() -> list[str]:
    """Return the raw files of this data set, relative to the raw-data root."""
    mnist = [f"mnist/{part}-{content}-ubyte.gz" for part in _NUM_IMAGES for content in ("images-idx3", "labels-idx1")]
    fsdd = [
        f"fsdd/recordings/{digit}_{speaker}_{index}.wav"
        for digit in range(10)
        for speaker in SPEAKERS
        for index in range(50)
    ]
    return mnist + fsdd


class Adapter:
    """Random access to AV-MNIST; `num_samples[split]` samples, each made by `sample(split, index)`.

    `variance` is the minimum share of the training images' variance to keep; `snr_db` the range that the
    signal-to-noise ratio is drawn from. Raises DataError if a raw file is invalid.
    """

    modalities = ("image", "audio")

    def __init__(
        self,
        root: Path,
        *,
        seed: int = 0,
        variance: float = 0.25,
        snr_db: Sequence[float] = (-12.0, 6.0),
        held_out_speaker: str | None = None,
        max_samples: int | None = None,
    ) -> None:
        if held_out_speaker is not None and held_out_speaker not in SPEAKERS:
            raise ParameterError(f"dataset.options.held_out_speaker: {held_out_speaker!r} must be one of {SPEAKERS}")
        if max_samples is not None and max_samples < 1:
            raise ParameterError(f"dataset.options.max_samples must be 1 or more, or null, not {max_samples}")
        if not 0 < variance < 1:
            raise ParameterError(f"dataset.options.variance must lie between 0 and 1, not {variance}")
        self._seed, self._snr_db = seed, (float(snr_db[0]), float(snr_db[1]))
        images, labels = _mnist(root)
        self._images = _degraded(images, variance)
        self._labels = labels
        self._pools = _pools(root, held_out_speaker)
        self._recordings = {
            name: _recording(root / name) for pool in self._pools.values() for names in pool for name in names
        }
        self.num_samples: Mapping[str, int] = {
            split: len(rows) if max_samples is None else min(len(rows), max_samples)
            for split, rows in self._labels.items()
        }

    def sample(self, split: str, index: int) -> Sample:
        """Make sample `index` of `split`; the same bytes every time, independent of other samples."""
        label = int(self._labels[split][index])
        rng = np.random.default_rng((self._seed, _SPLIT_ID[split], index))
        waveform, recording = self._noisy_digit(rng, self._pools[split], label)
        return Sample(
            key=f"{split}-{index:05d}",
            split=split,
            label=label,
            group=Path(recording).stem,
            members={"image.png": png(self._images[split][index]), "audio.wav": wav(waveform, SAMPLE_RATE_HZ)},
        )

    def _noisy_digit(
        self, rng: np.random.Generator, pool: Sequence[Sequence[str]], digit: int
    ) -> tuple[np.ndarray, str]:
        """Draw recording, position, noise and SNR, in this order (it is part of the data set's definition)."""
        name = pool[digit][int(rng.integers(len(pool[digit])))]
        speech, speech_rms = self._placed(rng, name)
        kind = ("white", "pink", "babble")[rng.integers(3)]
        if kind == "babble":
            noise = np.zeros(NUM_SAMPLES)
            for _ in range(3):
                other = int((digit + 1 + rng.integers(9)) % 10)
                noise += self._placed(rng, pool[other][int(rng.integers(len(pool[other])))])[0]
        else:
            noise = _white_or_pink(rng, kind)
        snr_db = rng.uniform(*self._snr_db)
        noise *= speech_rms / np.sqrt(np.mean(noise**2)) * 10 ** (-snr_db / 20)
        mixture = speech + noise
        return mixture * (_FULL_SCALE / np.abs(mixture).max()), name

    def _placed(self, rng: np.random.Generator, name: str) -> tuple[np.ndarray, float]:
        """Place a recording randomly within one second; return it and its RMS over its own duration (1)."""
        recording, second = self._recordings[name], np.zeros(NUM_SAMPLES)
        spare = NUM_SAMPLES - len(recording)
        if spare >= 0:
            start = rng.integers(spare + 1)
            second[start : start + len(recording)] = recording
        else:
            start = rng.integers(-spare + 1)
            second[:] = recording[start : start + NUM_SAMPLES]
        return second, 1.0


def _white_or_pink(rng: np.random.Generator, kind: str) -> np.ndarray:
    white = rng.standard_normal(NUM_SAMPLES)
    if kind == "white":
        return white
    spectrum = np.fft.rfft(white)
    frequency_hz = np.fft.rfftfreq(NUM_SAMPLES, 1 / SAMPLE_RATE_HZ)
    spectrum /= np.sqrt(np.maximum(frequency_hz, 20.0))  # amplitude 1/sqrt(f): pink; flat below 20 Hz
    return np.fft.irfft(spectrum, NUM_SAMPLES)


def _mnist(root: Path) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    def read(name: str, shape: tuple[int, ...], header_bytes: int) -> np.ndarray:
        try:
            content = gzip.decompress((root / "mnist" / f"{name}-ubyte.gz").read_bytes())
        except (OSError, EOFError) as error:
            raise DataError(f"{root / 'mnist' / name}-ubyte.gz cannot be read: {error}") from error
        if len(content) != header_bytes + np.prod(shape):
            raise DataError(f"{root / 'mnist' / name}-ubyte.gz holds {len(content)} bytes, not {shape} of them")
        return np.frombuffer(content, np.uint8, offset=header_bytes).reshape(shape)

    images = {part: read(f"{part}-images-idx3", (n, 28, 28), 16) for part, n in _NUM_IMAGES.items()}
    labels = {part: read(f"{part}-labels-idx1", (n,), 8) for part, n in _NUM_IMAGES.items()}

    def splits(parts: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"train": parts["train"][:_NUM_TRAIN], "val": parts["train"][_NUM_TRAIN:], "test": parts["t10k"]}

    return splits(images), splits(labels)


def _degraded(images: Mapping[str, np.ndarray], variance: float) -> dict[str, np.ndarray]:
    """Keep only the first principal components of the training images, enough for `variance` of their variance."""
    flat = {split: rows.reshape(len(rows), -1).astype(np.float64) for split, rows in images.items()}
    pca = PCA(n_components=variance, svd_solver="covariance_eigh").fit(flat["train"])
    return {
        split: np.clip(np.rint(pca.inverse_transform(pca.transform(rows))), 0, 255)
        .astype(np.uint8)
        .reshape(images[split].shape)
        for split, rows in flat.items()
    }


def _pools(root: Path, held_out_speaker: str | None) -> dict[str, list[list[str]]]:
    """Return, for each split and digit, the recordings' paths relative to `root`."""
    index_range = {"test": range(0, 5), "val": range(5, 10), "train": range(10, 50)}

    def speakers(split: str) -> Sequence[str]:
        if held_out_speaker is None:
            return SPEAKERS
        return [s for s in SPEAKERS if (s == held_out_speaker) == (split == "test")]

    return {
        split: [
            [f"fsdd/recordings/{digit}_{speaker}_{index}.wav" for speaker in speakers(split) for index in indices]
            for digit in range(10)
        ]
        for split, indices in index_range.items()
    }


def _recording(path: Path) -> np.ndarray:
    """Read one recording, with its mean removed and RMS normalised to 1."""
    try:
        waveform, rate_hz = soundfile.read(path)
    except (OSError, soundfile.LibsndfileError) as error:
        raise DataError(f"{path} is no readable wav file: {error}") from error
    if rate_hz != SAMPLE_RATE_HZ or waveform.ndim != 1:
        raise DataError(f"{path} has {rate_hz} Hz and shape {waveform.shape}, not {SAMPLE_RATE_HZ} Hz mono")
    waveform = waveform - waveform.mean()
    rms = np.sqrt(np.mean(waveform**2))
    if not rms > 0:
        raise DataError(f"{path} holds only silence")
    return waveform / rms
