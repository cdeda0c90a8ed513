"""CREMA-D: 7,442 clips of 91 actors who say twelve sentences in six emotions (Cao et al. 2014).

Decisions:

- A label is the index of its emotion in `dataset.classes`, in any order; here and in conf/ the order is OGM-GE's. The
  lists may start with a byte order mark.
- `split: official` is that of OGM-GE's train.csv and test.csv, drawn by clip: actors are in both, so results are for
  known faces and voices, and a group is a clip. `split: actors` pools the lists and draws whole actors, 10 % for test
  and `val_share` for validation; a group is an actor.
- Validation of the official split is `val_share` of training, drawn by class with `seed`.
- A row whose label differs from the emotion in its name is rejected.
- In the public repository sound and videos are Git LFS pointers: such a file is reported as a bad sample.

`video` is the folder of frames (`Image-01-FPS/<id>/*.jpg`) or of videos (`VideoFlash/<id>.flv`).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from umemma.data.sample import Rejected, Sample
from umemma.errors import DataError, ParameterError, unknown
from umemma.sources.layouts import listing, lists
from umemma.sources.layouts.clip_files import sound, video
from umemma.sources.layouts.listing import File
from umemma.sources.layouts.lists import Row

CLASSES = ("NEU", "HAP", "SAD", "FEA", "DIS", "ANG")
SPLITTINGS = ("official", "actors")
_NAME = re.compile(r"(\d{4})_[A-Z]{3}_([A-Z]{3})_[A-Z]{1,2}")  # actor, sentence, emotion, level
_TEST_SHARE = 0.1  # as in the official test set


class Adapter:
    """Random access to CREMA-D. Raises DataError for an invalid line."""

    modalities = ("video", "audio")

    def __init__(
        self,
        root: Path,
        *,
        folder: str = "CREMA-D",
        classes: Sequence[str] = CLASSES,
        split: str = "official",
        seed: int = 0,
        val_share: float = 0.1,
        video: str = "Image-01-FPS",
        audio: str = "AudioWAV",
    ) -> None:
        self.classes = lists.in_order(classes, CLASSES, "CREMA-D")
        self._place = lists.folder_with(root, folder, ["train.csv"])
        rows, self.rejected = read(self._place, classes=self.classes, split=split, seed=seed, val_share=val_share)
        self._rows = lists.by_split(rows, self.rejected)
        self._video, self._audio = self._place / video, self._place / audio
        self.num_samples: Mapping[str, int] = {split: len(split_rows) for split, split_rows in self._rows.items()}

    def sample(self, split: str, index: int) -> Sample:
        """Read sample `index` of `split`. Raises BadSample if its files are missing or corrupt."""
        return listing.sample(self._rows[split][index], self._files)

    def _files(self, row: Row) -> tuple[int, dict[str, File]]:
        return row.label, {"video": video(self._video, row.key), "audio": sound(self._audio, row.key)}


def read(
    folder: Path, *, classes: Sequence[str] = CLASSES, split: str = "official", seed: int = 0, val_share: float = 0.1
) -> tuple[list[Row], list[Rejected]]:
    """Read both lists in `place`; return the kept rows, of all three splits, and the rejected ones."""
    if split not in SPLITTINGS:
        raise ParameterError(unknown("dataset.options.split", "splitting", split, SPLITTINGS))
    rows, rejected = [], []
    for part in ("train", "test"):
        for where, line in lists.lines(folder / f"{part}.csv"):
            name, _, label = (field.strip() for field in line.partition(","))
            actor, emotion = _fields(where, name, label)
            if emotion == label:
                rows.append(Row(name, part, classes.index(label), name, where, (actor,)))
            else:
                rejected.append(Rejected(name, part, where, f"the list says {label}, its name {emotion}"))
    kept, repeats = lists.once(rows)
    if split == "official":
        return lists.held_out(kept, share=val_share, seed=seed), rejected + repeats
    return _by_actor(kept, seed, val_share), rejected + repeats


def _fields(where: str, name: str, label: str) -> tuple[str, str]:
    """Return the actor and the emotion in the name."""
    parts = _NAME.fullmatch(name)
    if not parts:
        raise DataError(f"{where}: {name!r} is no <actor>_<sentence>_<emotion>_<level>, such as 1001_IEO_NEU_XX")
    if label not in CLASSES:
        raise DataError(unknown(where, "emotion of CREMA-D", label, CLASSES))
    return parts[1], parts[2]


def _by_actor(rows: list[Row], seed: int, val_share: float) -> list[Row]:
    if not 0 < val_share < 1 - _TEST_SHARE:
        raise ParameterError(f"dataset.options.val_share must lie between 0 and {1 - _TEST_SHARE}, not {val_share}")
    shares = {"train": 1 - val_share - _TEST_SHARE, "val": val_share, "test": _TEST_SHARE}
    split_of = lists.drawn({row.fields[0]: 0 for row in rows}, shares, seed)
    return [replace(row, split=split_of[row.fields[0]], group=row.fields[0]) for row in rows]
