"""Some frames of an encoded video to one uint8 tensor.

The packets are counted first, which is cheap; then the video is decoded up to the last selected frame, and only
selected frames are converted, resized and kept. `bilinear` with antialiasing as for images, which matters for details
such as a face of 96 px in a frame of 1,080.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence

import numpy as np
import torch

from umemma.errors import DataError, ParameterError, unknown
from umemma.media.kinds import video
from umemma.media.resizing import Resizing, colour_of

_MODES = {"gray": "gray", "rgb": "rgb24"}


class Decoder:
    """Decode MP4, MPG and other videos to uint8 (frame, channel, height, width), `num_frames` of each.

    `sampling`: `uniform` takes the frame shown in the middle of each of as many equal parts of its time, `centre`
    consecutive frames in the middle, `fps` frames at `fps` per second in the middle; a shorter video repeats some
    frames, or its last one. `mode` gray or rgb; `region_px`, `size_px`, `fit`, `interpolation`, `antialias`,
    `background`: as for images.
    """

    def __init__(
        self,
        *,
        num_frames: int,
        sampling: str = "uniform",
        fps: float | None = None,
        mode: str = "rgb",
        size_px: int | Sequence[int] | None = None,
        fit: str = "crop",
        interpolation: str = "bilinear",
        antialias: bool = True,
        background: int | Sequence[int] = 0,
        region_px: Sequence[int] | None = None,
    ) -> None:
        if mode not in _MODES:
            raise ParameterError(unknown("decode.mode", "frame mode", mode, _MODES))
        if sampling not in SAMPLINGS:
            raise ParameterError(unknown("decode.sampling", "way to sample", sampling, SAMPLINGS))
        if not isinstance(num_frames, int) or num_frames < 1 or (fps is not None and fps <= 0):
            raise ValueError(f"num_frames must be a whole number above 0 and fps above 0; they are {num_frames}, {fps}")
        if (fps is not None) != (sampling == "fps"):
            raise ValueError(f"fps goes with sampling fps, and it needs it; fps is {fps}, sampling {sampling}")
        self._num_frames, self._sampling, self._fps, self._format = num_frames, sampling, fps, _MODES[mode]
        self._resizing = Resizing(
            size_px,
            fit=fit,
            interpolation=interpolation,
            antialias=antialias,
            background=colour_of(background),
            region_px=region_px,
        )

    def __call__(self, content: bytes) -> torch.Tensor:
        """Return the frames. Raises DataError if the content is not a video or has no frame."""
        times = video.times(content)
        if not times:
            raise DataError("no readable video: it has no frame")
        selected = SAMPLINGS[self._sampling](times, self._num_frames, self._fps or 0.0)
        pictures: dict[int, torch.Tensor] = {}
        last = None
        for number, frame in enumerate(video.frames(content, self._format)):
            last = frame
            if number in selected:
                pictures[number] = self._picture(frame)
            if number >= selected[-1]:
                break
        if last is None:
            raise DataError("no readable video: no frame of it can be decoded")
        end = self._picture(last)  # replaces frames that the packets announce but the decoder does not return
        return torch.stack([pictures.get(number, end) for number in selected])

    def _picture(self, frame: np.ndarray) -> torch.Tensor:
        pixels = torch.from_numpy(np.ascontiguousarray(frame))
        return self._resizing(pixels.reshape(*pixels.shape[:2], -1).permute(2, 0, 1))


def _uniform(times: Sequence[float], num: int, _: float) -> list[int]:
    """By time, not by number: a screen recording has many frames where much moves, and few where little does."""
    seconds = video.shown_until(times) - times[0]
    return _at(times, [times[0] + (i + 0.5) * seconds / num for i in range(num)])


def _centre(times: Sequence[float], num: int, _: float) -> list[int]:
    start = max(0, (len(times) - num) // 2)
    return [min(start + i, len(times) - 1) for i in range(num)]


def _fps(times: Sequence[float], num: int, fps: float) -> list[int]:
    """Return the frame shown in the middle of each `1 / fps` seconds; if one begins at that time, that one."""
    seconds = video.shown_until(times) - times[0]
    start = times[0] + max(0.0, (seconds - num / fps) / 2)
    return _at(times, [start + (i + 0.5) / fps for i in range(num)])


def _at(times: Sequence[float], moments: Sequence[float]) -> list[int]:
    """Return the numbers of the frames shown at these moments."""
    rounding = (times[-1] - times[0]) / max(1, len(times) - 1) / 100  # timestamps are rounded
    return [max(0, bisect_right(times, moment + rounding) - 1) for moment in moments]


SAMPLINGS: dict[str, Callable[[Sequence[float], int, float], list[int]]] = {
    "uniform": _uniform,
    "centre": _centre,
    "fps": _fps,
}
