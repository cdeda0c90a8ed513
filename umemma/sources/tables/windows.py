"""Long recordings cut into windows: a row of a table becomes several samples, one for each stretch of time.

All series of a row are cut at the same times; one that ended before a window, or was not measured in it, is missing there.
What is no series, a text or a picture, stands in every window. The windows of a row have its label and its group, so that
no recording is in two splits.
"""

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from umemma.errors import ParameterError, SettingError
from umemma.settings import Count, Positive, Section, section
from umemma.sources.tables.series import npy
from umemma.sources.tables.sources import Source

_WHERE = "dataset.options.windows"
_ROUNDING = 1e-6  # of a step: 0.1 s at 50 Hz is five steps, and a little less in floating point

Members = dict[str, tuple[str, bytes]]  # {modality: (member name, bytes)}


class Windows(Section):
    """`dataset.options.windows`: the length of a window, in one of two units, and how far apart windows start."""

    steps: Count | None = None
    """Length in steps, where all series have one rate."""
    seconds: Positive | None = None
    """Length in seconds; the series then need `recording.rate_hz`."""
    stride: Positive | None = None
    """From the start of one window to that of the next, in the same unit; null: the length, so that none overlap."""


@dataclass(frozen=True)
class Cut:
    """Windows of `length`, `stride` apart; `rates`: steps per unit of time of each modality that is cut."""

    length: float
    stride: float
    rates: Mapping[str, float]

    def num_windows(self, members: Members) -> int:
        """Return the number of whole windows in the longest series, but at least one."""
        lengths = [len(_array(members[name][1])) / rate for name, rate in self.rates.items() if name in members]
        longest = max(lengths, default=0.0)
        return max(1, 1 + math.floor((longest - self.length) / self.stride + _ROUNDING))

    def __call__(self, members: Members, window: int) -> Members:
        """Return the members of one window, without the series that are missing in it."""
        start, result = window * self.stride, dict(members)
        for name, rate in self.rates.items():
            if name in members:
                member, content = members[name]
                first, last = round(start * rate), round((start + self.length) * rate)
                part = _array(content)[first:last]
                if len(part) and not np.isnan(part).all():
                    result[name] = member, npy(part)
                else:
                    del result[name]
        return result


def cut(entry: object, sources: Mapping[str, Source]) -> Cut:
    """Validate `dataset.options.windows`. Raises ParameterError naming key, value and choices."""
    if not isinstance(entry, Mapping):
        raise ParameterError(f"{_WHERE} must be {{seconds: ..., stride: ...}}, not {entry!r}")
    try:
        windows = section(Windows, **entry)
    except SettingError as error:
        raise ParameterError(f"{_WHERE}: {error}") from error
    if (windows.steps is None) == (windows.seconds is None):
        raise ParameterError(f"{_WHERE} must give the length of a window either in steps or in seconds")
    length = float(windows.steps or windows.seconds or 0)
    stride = windows.stride or length
    rates: dict[str, float] = {}
    for name, source in sources.items():
        if source.kind == "series" and source.reading:
            rate = 1.0 if windows.steps else source.reading.recording.rate_hz
            if rate is None:
                raise ParameterError(
                    f"{_WHERE} is in seconds, which needs {source.where}.recording.rate_hz; `steps` needs none"
                )
            if min(length, stride) * rate < 1:
                raise ParameterError(f"{_WHERE}: length and stride must be at least one step of {name}, {1 / rate:g} s")
            rates[name] = rate
    if not rates:
        raise ParameterError(f"{_WHERE} cuts series, and there are none in dataset.options.modalities")
    return Cut(length, stride, rates)


def _array(content: bytes) -> np.ndarray:
    return np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
