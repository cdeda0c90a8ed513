"""GRID: words cut from audio-visual clips of a talking head, in noise (Cooke, Barker, Cunningham, Shao 2006).

A clip says `bin blue at f two now`: command, colour, preposition, letter, digit, adverb. `target` is the word to
cut out of video and sound, and its values are the classes; letters are the hard ones (25 of them, without w). From
clean sound alone the digit is recognised with accuracy .997, so noise is added. Decisions:

- labels.csv times words in units of 1/1,000 frame at 25 frames a second (25,000 a second). The span is the word with
  `margin_seconds` on either side, or `num_frames` frames around its middle; it is aligned to frame boundaries and
  shifted into the clip, and the sound is cut to the same span.
- Noise is a random piece of one of `noises`, scaled to a signal-to-noise ratio drawn from `snr_db` (over the span,
  which may contain parts of other words). Each split has its own part of every noise. All is drawn from (seed, key).
- The split is drawn by `seed` within each class: 70 % training, 15 % validation, 15 % test. A group is a clip: there is
  one speaker, so the test measures generalisation to new sentences, not to new faces.
- A word of zero duration and a clip listed twice are rejected.
"""

import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile

from umemma.data.sample import BadSample, Rejected, Sample
from umemma.errors import DataError, ParameterError, unknown
from umemma.sources.layouts import cutting, listing, lists
from umemma.sources.layouts.listing import File
from umemma.sources.layouts.lists import Row

FRAMES_A_SECOND = 25
UNITS_A_FRAME = 1_000
TARGETS = {
    "command": ("bin", "lay", "place", "set"),
    "color": ("blue", "green", "red", "white"),
    "prep": ("at", "by", "in", "with"),
    "letter": tuple("abcdefghijklmnopqrstuvxyz"),
    "digit": ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    "adverb": ("again", "now", "please", "soon"),
}
NOISES = tuple(
    f"noise/{name}.wav"
    for name in ("doing_the_dishes", "dude_miaowing", "exercise_bike", "pink_noise", "running_tap", "white_noise")
)
SHARES = {"train": 0.7, "val": 0.15, "test": 0.15}
_FULL_SCALE = 0.95  # peak of every written sound


class Adapter:
    """Random access to the words; `noises` are wav files relative to the root; without them or `snr_db`, no noise.

    Raises DataError for an invalid labels.csv and for a noise that is missing or has another sample rate.
    """

    modalities = ("video", "audio")

    def __init__(
        self,
        root: Path,
        *,
        folder: str = "grid_clips",
        classes: Sequence[str] | None = None,
        seed: int = 0,
        target: str = "letter",
        margin_seconds: float = 0.1,
        num_frames: int | None = None,
        noises: Sequence[str] = NOISES,
        snr_db: Sequence[float] | None = (-12.0, 0.0),
    ) -> None:
        if target not in TARGETS:
            raise ParameterError(unknown("dataset.options.target", "word", target, TARGETS))
        if margin_seconds < 0 or (num_frames is not None and num_frames < 1):
            raise ParameterError(
                f"dataset.options.margin_seconds must be 0 or more and num_frames 1 or more or null, "
                f"not {margin_seconds} and {num_frames}"
            )
        base = lists.folder_with(root, folder, ["labels.csv"])
        self.classes = lists.in_order(classes or TARGETS[target], TARGETS[target], f"GRID by {target}")
        rows, self.rejected = read(base / "labels.csv", target, self.classes)
        split_of = lists.drawn({row.key: row.label for row in rows}, SHARES, seed)
        self._rows = lists.by_split([replace(row, split=split_of[row.key]) for row in rows], self.rejected)
        self.num_samples: Mapping[str, int] = {split: len(split_rows) for split, split_rows in self._rows.items()}
        self._clips, self._seed = base / "clips", seed
        self._margin, self._num_frames = margin_seconds * FRAMES_A_SECOND, num_frames
        self._snr_db = None if snr_db is None else (float(snr_db[0]), float(snr_db[1]))
        self._noises = {root / name: _info(root / name) for name in noises} if snr_db else {}

    def sample(self, split: str, index: int) -> Sample:
        """Cut out and make sample `index` of `split`; the same bytes every time. Raises BadSample for a bad clip."""
        return listing.sample(self._rows[split][index], self._files)

    def _files(self, row: Row) -> tuple[int, dict[str, File]]:
        path = self._clips / f"{row.key}.mp4"
        content = lists.named(path)
        with lists.blamed(path):
            start_seconds, end_seconds = self._span(row, cutting.seconds(content))
            picture = cutting.video_span(content, start_seconds, end_seconds)
            samples, rate_hz = cutting.sound_span(content, start_seconds, end_seconds)
            heard = self._in_noise(samples.mean(axis=1), rate_hz, row.split, row.key)
        return row.label, {
            "video": File("mp4", picture, path),
            "audio": File("flac", cutting.flac(heard, rate_hz), path),
        }

    def _span(self, row: Row, clip_seconds: float) -> tuple[float, float]:
        """Return start and end in seconds, both at frame boundaries."""
        start, end = (int(units) / UNITS_A_FRAME for units in row.fields)
        last = round(clip_seconds * FRAMES_A_SECOND)
        if start >= last:
            raise DataError(f"lasts {clip_seconds:g} s; {Path(row.file).name} has its word later")
        if self._num_frames is None:
            first, beyond = int(np.floor(start - self._margin)), int(np.ceil(end + self._margin))
        else:
            first = min(round((start + end - self._num_frames) / 2), last - self._num_frames)
            beyond = max(first, 0) + self._num_frames
        return max(first, 0) / FRAMES_A_SECOND, min(beyond, last) / FRAMES_A_SECOND

    def _in_noise(self, speech: np.ndarray, rate_hz: int, split: str, key: str) -> np.ndarray:
        """Draw noise, position and SNR, in this order (it is part of the data set's definition)."""
        if not self._noises or self._snr_db is None:
            return speech
        rng = np.random.default_rng(list(hashlib.sha256(f"{self._seed}/{key}".encode()).digest()))
        path = list(self._noises)[rng.integers(len(self._noises))]
        noise_rate_hz, total = self._noises[path]
        if noise_rate_hz != rate_hz:
            raise DataError(f"has {rate_hz} Hz, {path} {noise_rate_hz} Hz")
        begin, end = _part(split, total)
        if end - begin < len(speech):
            raise DataError(f"its word lasts longer than the part of {path} that {split} has")
        offset = begin + int(rng.integers(end - begin - len(speech) + 1))
        noise, _ = soundfile.read(path, len(speech), offset, dtype="float64")
        loudness = [np.sqrt(np.mean(np.square(sound, dtype=np.float64))) for sound in (speech, noise)]
        if not all(loudness):
            raise BadSample(str(path if loudness[0] else self._clips / f"{key}.mp4"), "is silent in the required span")
        mixture = speech + noise * (loudness[0] / loudness[1] * 10 ** (-rng.uniform(*self._snr_db) / 20))
        return mixture * (_FULL_SCALE / np.abs(mixture).max())


def read(path: Path, target: str, classes: Sequence[str]) -> tuple[list[Row], list[Rejected]]:
    """Read labels.csv; return the kept rows, all in split train, with start and end in units, and the rejected ones."""
    table = csv.DictReader(io.StringIO(lists.text(path), newline=""))
    columns = ("id", target, f"{target}_start", f"{target}_end")
    if lacking := [name for name in columns if name not in (table.fieldnames or ())]:
        raise DataError(f"{path} has no column {', '.join(lacking)}; it has {', '.join(table.fieldnames or ())}")
    rows, rejected = [], []
    for fields in table:
        where = f"{path}:{table.line_num}"
        key, word, start, end = (fields[name] or "" for name in columns)
        if word not in classes:
            raise DataError(unknown(where, target, word, classes))
        if not key.isalnum() or not (start.isdecimal() and end.isdecimal()):
            raise DataError(f"{where}: {key!r}, {start!r}, {end!r} are no id (letters, digits) and two whole numbers")
        if int(start) < int(end):
            rows.append(Row(key, "train", classes.index(word), key, where, (start, end)))
        else:
            rejected.append(Rejected(key, "train", where, f"its {target} lasts from {start} to {end}"))
    kept, repeats = lists.once(rows)
    return kept, rejected + repeats


def _part(split: str, total: int) -> tuple[int, int]:
    """Return the range of a noise's samples that a split may draw from, proportional to the split's share."""
    bounds = dict(zip(SHARES, np.cumsum([0, *SHARES.values()]), strict=False))
    return round(bounds[split] * total), round((bounds[split] + SHARES[split]) * total)


def _info(path: Path) -> tuple[int, int]:
    """Return the sample rate in Hz and the number of samples of a mono sound file."""
    try:
        info = soundfile.info(path)
    except (OSError, soundfile.LibsndfileError) as error:
        raise DataError(f"dataset.options.noises: {path} is no readable sound: {error}") from error
    if info.channels != 1:
        raise DataError(f"dataset.options.noises: {path} has {info.channels} channels, not 1")
    return info.samplerate, info.frames
