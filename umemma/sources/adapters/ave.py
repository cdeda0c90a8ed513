"""AVE: 4,143 ten-second YouTube clips of 28 audio-visual events (Tian, Shi, Li, Duan, Xu, ECCV 2018), by clip.

Decisions, each about a flaw of the published lists:

- 45 ids are listed under two or three categories. 10 ids are in training and validation, 8 in training and test: their
  training row is rejected. An id twice in one split is kept once, as its `repeated: first` row (as in DI-MML) or its
  `last` (as in OGM-GE).
- One row lasts 0 seconds, `Church bell&VWi2ENBuTbw&good&0&0`. It is rejected; most copies of trainSet.txt omit it, and
  so all copies give the same samples.
- A first line that starts with `Category&` is a header; some copies have one. Fields are split at `&` only, since
  categories contain commas, spaces and parentheses.
- A label is the index of its category in `dataset.classes`, in any order. Here and in conf/ the order is that of first
  appearance in the authors' Annotations.txt, as in DI-MML; OGM-GE sorts the names.
- A video is `<id>.mp4`, or named by its whole row (`Church bell&RUhOCu3LNXM&good&0&10.mp4`).

`clip: event` cuts to the row's seconds; `whole` passes on the file, which is then the member of both modalities. In a
video without a sound track, the audio is missing. DI-MML's layout: `video: Image-01-FPS-SE`, `audio: Audio-1004-SE`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from umemma.data.sample import BadSample, Rejected, Sample
from umemma.errors import DataError, ParameterError, unknown
from umemma.sources.layouts import cutting, listing, lists
from umemma.sources.layouts.clip_files import sound, video
from umemma.sources.layouts.listing import File
from umemma.sources.layouts.lists import Row

CLASSES = (
    "Church bell",
    "Male speech, man speaking",
    "Bark",
    "Fixed-wing aircraft, airplane",
    "Race car, auto racing",
    "Female speech, woman speaking",
    "Helicopter",
    "Violin, fiddle",
    "Flute",
    "Ukulele",
    "Frying (food)",
    "Truck",
    "Shofar",
    "Motorcycle",
    "Acoustic guitar",
    "Train horn",
    "Clock",
    "Banjo",
    "Goat",
    "Baby cry, infant cry",
    "Bus",
    "Chainsaw",
    "Cat",
    "Horse",
    "Toilet flush",
    "Rodents, rats, mice",
    "Accordion",
    "Mandolin",
)
_LISTS = {"train": "trainSet.txt", "val": "valSet.txt", "test": "testSet.txt"}


class Adapter:
    """Random access to AVE; `video` and `audio` name the folders below `folder` with video and sound.

    Raises DataError for an invalid line, ParameterError for an invalid option.
    """

    modalities = ("video", "audio")

    def __init__(
        self,
        root: Path,
        *,
        folder: str = "AVE_Dataset",
        video: str = "AVE",
        audio: str = "AVE",
        classes: Sequence[str] = CLASSES,
        repeated: str = "first",
        clip: str = "whole",
    ) -> None:
        if clip not in ("whole", "event"):
            raise ParameterError(unknown("dataset.options.clip", "clip", clip, ("whole", "event")))
        base = lists.folder_with(root, folder, [_LISTS["train"]])
        self.classes = lists.in_order(classes, CLASSES, "AVE")
        rows, self.rejected = read(base, classes=self.classes, repeated=repeated)
        self._rows = lists.by_split(rows, self.rejected)
        self.num_samples: Mapping[str, int] = {split: len(split_rows) for split, split_rows in self._rows.items()}
        self._video, self._audio, self._is_cut = base / video, base / audio, clip == "event"
        self._files = _videos(self._video) if video == audio else {}
        if self._is_cut and not self._files:
            raise ParameterError("dataset.options.clip 'event' cuts videos; frames and spectrograms cannot be cut")

    def sample(self, split: str, index: int) -> Sample:
        """Read sample `index` of `split`. Raises BadSample if its files are missing or corrupt."""
        return listing.sample(self._rows[split][index], self._of_video if self._files else self._of_parts)

    def _of_video(self, row: Row) -> tuple[int, dict[str, File]]:
        paths = self._files.get(row.key)
        if not paths:
            raise BadSample(str(self._video / f"{row.key}.mp4"), f"is missing; {Path(row.file).name} names it")
        path = next((path for path in paths if path.name.startswith(f"{self.classes[row.label]}&")), paths[0])
        content = lists.named(path)
        start_seconds, end_seconds = map(float, row.fields)
        with lists.blamed(path):
            whole = File("mp4", content, path)
            files = {"video": whole, "audio": whole} if cutting.has_sound(content) else {"video": whole}
            if self._is_cut:
                files["video"] = File("mp4", cutting.video_span(content, start_seconds, end_seconds), path)
            if self._is_cut and "audio" in files:
                samples, rate_hz = cutting.sound_span(content, start_seconds, end_seconds)
                files["audio"] = File("flac", cutting.flac(samples, rate_hz), path)
            return row.label, files

    def _of_parts(self, row: Row) -> tuple[int, dict[str, File]]:
        return row.label, {"video": video(self._video, row.key), "audio": sound(self._audio, row.key)}


def read(
    folder: Path, *, classes: Sequence[str] = CLASSES, repeated: str = "first"
) -> tuple[list[Row], list[Rejected]]:
    """Read the three lists in `place`; return the kept rows and the rejected ones."""
    events = {
        split: [_fields(where, line) for where, line in lists.lines(folder / name) if not line.startswith("Category&")]
        for split, name in _LISTS.items()
    }
    rows, rejected = [], []
    for split, listed in events.items():
        for where, category, key, start, end in listed:
            if float(end) > float(start):
                rows.append(Row(key, split, classes.index(category), key, where, (start, end)))
            else:
                rejected.append(Rejected(key, split, where, f"its event lasts from second {start} to {end}"))
    kept, repeats = lists.once(rows, keep=repeated)
    return kept, rejected + repeats


def _fields(where: str, line: str) -> tuple[str, str, str, str, str]:
    """Return file and line, category, id, start and end."""
    fields = line.split("&")
    if len(fields) != 5:
        raise DataError(f"{where}: {line!r} has {len(fields)} fields, not Category&VideoID&Quality&StartTime&EndTime")
    category, key, _, start, end = fields
    if category not in CLASSES:
        raise DataError(unknown(where, "category of AVE", category, CLASSES))
    if not key.replace("-", "").replace("_", "").isalnum() or not (start.isdecimal() and end.isdecimal()):
        raise DataError(f"{where}: {line!r} has no YouTube id in field 2, or no whole seconds in fields 4 and 5")
    return where, category, key, start, end


def _videos(folder: Path) -> dict[str, list[Path]]:
    """Return the videos by id. Raises DataError if the folder has none."""
    by_id: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("*.mp4")):
        parts = path.stem.split("&")
        by_id.setdefault(parts[1] if len(parts) == 5 else path.stem, []).append(path)
    if not by_id:
        raise DataError(f"{folder} holds no .mp4 file; dataset.options.video names the folder that does")
    return by_id
