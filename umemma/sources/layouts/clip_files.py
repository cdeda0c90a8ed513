"""The files of one clip in audio-visual data sets: a video or a folder of frames; sound or a spectrogram.

- A folder of frames becomes one MP4 with the unchanged JPEGs (`cutting.motion_jpeg`), so a clip is one member in either
  form. Frames are ordered by the number at the end of their names; the frame rate is in the name of the folder of all
  clips (`Image-01-FPS`), else one per second, as every public list extracts them.
- A `.pkl` is a pickled librosa spectrogram, (frequency, frame). It is read without executing it (`plain_pickle`) and
  converted to a .npy (frame, frequency), float32: the axes of a series, and of the Kaldi `.npy` files, which are kept.
- A listed file that is missing, empty or corrupt is a BadSample.
"""

import io
import re
from pathlib import Path

import numpy as np

from umemma.data.sample import BadSample
from umemma.errors import DataError
from umemma.sources.layouts import cutting, plain_pickle
from umemma.sources.layouts.listing import File
from umemma.sources.layouts.lists import blamed, named

VIDEO = ("mp4", "mkv", "webm", "avi", "mpg", "flv")
SOUND = ("wav", "flac", "ogg", "mp3", "m4a", "npy", "pkl", "mp4")


def video(folder: Path, name: str, *, min_frames: int = 1) -> File:
    """Return a clip's video. Raises BadSample if it is missing or has too few frames."""
    if (folder / name).is_dir():
        return File("mp4", _from_frames(folder / name, min_frames), folder / name)
    path = _first(folder, name, VIDEO, "neither a folder of frames nor a file")
    return File(path.suffix[1:], named(path), path)


def sound(folder: Path, name: str) -> File:
    """Return a clip's sound. Raises BadSample if it is missing."""
    path = _first(folder, name, SOUND, "no file")
    if path.suffix != ".pkl":
        return File(path.suffix[1:], named(path), path)
    with blamed(path):
        return File("npy", _series(plain_pickle.loads(named(path))), path)


def _from_frames(folder: Path, min_frames: int) -> bytes:
    frames = sorted((path for path in folder.iterdir() if path.suffix.lower() in (".jpg", ".jpeg")), key=_number)
    if len(frames) < max(min_frames, 1):
        raise BadSample(str(folder), f"holds {len(frames)} frames (.jpg), fewer than {max(min_frames, 1)}")
    rate = re.search(r"Image-(\d+)-FPS", folder.parent.name)
    with blamed(folder):
        return cutting.motion_jpeg([named(path) for path in frames], fps=max(int(rate[1]), 1) if rate else 1)


def _number(path: Path) -> tuple[int, str]:
    digits = re.search(r"(\d+)$", path.stem)
    return (int(digits[1]) if digits else -1, path.name)


def _first(folder: Path, name: str, suffixes: tuple[str, ...], lacking: str) -> Path:
    for suffix in suffixes:
        if (path := folder / f"{name}.{suffix}").is_file():
            return path
    raise BadSample(str(folder / name), f"there is {lacking} of this name (.{', .'.join(suffixes)})")


def _series(values: object) -> bytes:
    if not isinstance(values, np.ndarray):  # a list that contains itself many times would become a huge array
        raise DataError(f"its pickle holds no spectrogram (frequency, frame) but {type(values).__name__}")
    if values.ndim != 2 or values.dtype.kind not in "fiu" or not values.size:
        raise DataError(
            f"its pickle holds no spectrogram (frequency, frame) but {type(values).__name__} of shape "
            f"{values.shape} and type {values.dtype}"
        )
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(values.T, dtype=np.float32), allow_pickle=False)
    return buffer.getvalue()
