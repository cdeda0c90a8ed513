"""Kinetics-Sounds: ten-second Kinetics-400 clips of 31 visible and audible actions (Arandjelovic and Zisserman 2017).

There is no official package; two layouts are in use, selected by `layout`:

- `folders`: `{train,test}/audio/<class>/<video>.wav` and `{train,test}/video/<class>/<video>/frame_*.jpg`. The label is
  the folder's index in `dataset.classes`, in any order. A clip in only one of the two trees lacks the other modality;
  `incomplete: reject` rejects such clips.
- `lists`: the lists of OGM-GE (`name,10,label`) or BalanceBenchmark (separated by spaces: the name first, the label
  last), frames in `visual/<name>/`, sound in `audio/<name>.npy` (Kaldi filter bank) or `audio_spec/<name>.pkl`.
  **The mapping of numbers to actions is unpublished**: label 7 is the eighth of `dataset.classes`, and in
  conf/dataset/kinetics_sounds_lists.yaml these are "0" to "30", not names that may be wrong.

Neither layout has a validation set: it is `val_share` of training, drawn by class with `seed`. A group is the YouTube
video. Clips with fewer than `min_frames` frames are bad samples, since all published loaders skip them; so are listed
clips without files.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from umemma.data.sample import Rejected, Sample
from umemma.errors import DataError, ParameterError, unknown
from umemma.sources.layouts import listing, lists
from umemma.sources.layouts.clip_files import sound, video
from umemma.sources.layouts.listing import File
from umemma.sources.layouts.lists import Row

CLASSES = (
    "bowling",
    "ripping paper",
    "playing xylophone",
    "playing organ",
    "playing bass guitar",
    "tapping guitar",
    "playing accordion",
    "playing guitar",
    "dribbling basketball",
    "playing piano",
    "playing bagpipes",
    "playing saxophone",
    "playing harmonica",
    "tickling",
    "blowing nose",
    "tapping pen",
    "chopping wood",
    "blowing out candles",
    "tap dancing",
    "stomping grapes",
    "playing clarinet",
    "laughing",
    "playing trombone",
    "shoveling snow",
    "playing trumpet",
    "playing violin",
    "singing",
    "shuffling cards",
    "playing keyboard",
    "mowing lawn",
    "playing drums",
)
_NUMBERS = [str(number) for number in range(len(CLASSES))]
_NAME = re.compile(r"[\w-]+")
_CLIP = re.compile(r"([\w-]{11})_\d+(_\d+)?")  # YouTube id, start, and in some lists end


class Adapter:
    """Random access to Kinetics-Sounds; `video` and `audio` name folders of layout `lists`.

    Raises DataError for an invalid line or folder, ParameterError for an invalid option.
    """

    modalities = ("video", "audio")

    def __init__(
        self,
        root: Path,
        *,
        folder: str = "kinetics_sounds",
        layout: str = "folders",
        classes: Sequence[str] = CLASSES,
        seed: int = 0,
        val_share: float = 0.1,
        min_frames: int = 4,
        incomplete: str = "keep",
        train_list: str = "my_train.txt",
        test_list: str = "my_test.txt",
        video: str = "visual",
        audio: str = "audio",
    ) -> None:
        if layout not in ("folders", "lists"):
            raise ParameterError(unknown("dataset.options.layout", "layout", layout, ("folders", "lists")))
        if incomplete not in ("keep", "reject"):
            raise ParameterError(unknown("dataset.options.incomplete", "choice", incomplete, ("keep", "reject")))
        self._place = lists.folder_with(root, folder, ["train"] if layout == "folders" else [train_list])
        self._min_frames = min_frames
        if layout == "lists":
            if len(classes) != len(CLASSES):
                raise ParameterError(
                    f"dataset.classes must be {len(CLASSES)} names, in the order of the labels in "
                    f"{train_list}, not {len(classes)}"
                )
            rows, self.rejected = read(self._place, train_list, test_list)
            rows = [replace(row, fields=(video, audio)) for row in rows]
        else:
            lists.in_order(classes, CLASSES, "Kinetics-Sounds")
            rows, self.rejected = _from_folders(self._place, classes, is_whole_only=incomplete == "reject")
        self.classes = tuple(classes)
        self._rows = lists.by_split(lists.held_out(rows, share=val_share, seed=seed), self.rejected)
        self.num_samples: Mapping[str, int] = {split: len(split_rows) for split, split_rows in self._rows.items()}

    def sample(self, split: str, index: int) -> Sample:
        """Read sample `index` of `split`. Raises BadSample if its files are missing, corrupt or too few."""
        return listing.sample(self._rows[split][index], self._files)

    def _files(self, row: Row) -> tuple[int, dict[str, File]]:
        frames, heard = row.fields
        files = {"video": video(self._place / frames, row.key, min_frames=self._min_frames)} if frames else {}
        if heard:
            files["audio"] = sound(self._place / heard, row.key)
        return row.label, files


def read(
    folder: Path, train_list: str = "my_train.txt", test_list: str = "my_test.txt"
) -> tuple[list[Row], list[Rejected]]:
    """Read both lists in `place`; return the kept rows, of train and test and without fields, and the rejected ones."""
    return lists.once(
        _row(split, where, line)
        for split, name in (("train", train_list), ("test", test_list))
        for where, line in lists.lines(folder / name)
    )


def _row(split: str, where: str, line: str) -> Row:
    fields = [field.strip() for field in line.split(",")] if "," in line else line.split()
    name, label = fields[0], fields[-1]
    if len(fields) < 2 or not _NAME.fullmatch(name) or label not in _NUMBERS:
        raise DataError(
            f"{where}: {line!r} is no name and label of 0 to {len(CLASSES) - 1}, separated by commas or spaces"
        )
    return Row(name, split, int(label), _group(name), where)


def _group(name: str) -> str:
    clip = _CLIP.fullmatch(name)
    return clip[1] if clip else name


def _from_folders(folder: Path, classes: Sequence[str], *, is_whole_only: bool) -> tuple[list[Row], list[Rejected]]:
    """List the clips of layout `folders`; a row's fields are the folders of its frames and of its sound, or ''."""
    rows, rejected = [], []
    for split in ("train", "test"):
        _check_folders(folder / split)
        for label, name in enumerate(classes):
            trees = [f"{split}/{modality}/{name}" for modality in ("video", "audio")]
            clips = [
                {path.stem if path.is_file() else path.name: path for path in _visible(folder / tree)} for tree in trees
            ]
            for key in sorted(clips[0].keys() | clips[1].keys()):
                file = f"{folder}/{trees[0] if key in clips[0] else trees[1]}/{key}"
                if not _NAME.fullmatch(key):
                    rejected.append(Rejected(key, split, file, "a clip's name is letters, digits, - and _"))
                elif is_whole_only and not (key in clips[0] and key in clips[1]):
                    rejected.append(Rejected(key, split, file, f"has no {'sound' if key in clips[0] else 'frames'}"))
                else:
                    fields = tuple(tree if key in paths else "" for tree, paths in zip(trees, clips, strict=True))
                    rows.append(Row(key, split, label, _group(key), file, fields))
    kept, repeats = lists.once(rows)
    return kept, rejected + repeats


def _check_folders(folder: Path) -> None:
    for modality in ("video", "audio"):
        for path in _visible(folder / modality):
            if path.name not in CLASSES:
                raise DataError(unknown(str(path), "class of Kinetics-Sounds", path.name, CLASSES))


def _visible(folder: Path) -> Iterator[Path]:
    """Yield the non-hidden entries of a folder; nothing if it does not exist."""
    return (path for path in sorted(folder.iterdir()) if not path.name.startswith(".")) if folder.is_dir() else iter(())
