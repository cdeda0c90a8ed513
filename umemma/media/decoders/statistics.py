"""Irregular events, (time, variable, value), to one vector of statistics for each variable.

Statistics keep what bins lose: the exact time of the first and
last measurement, extremes, the longest gap. They were chosen on PhysioNet 2012, where boosting on them beats networks on
bins (Grinsztajn et al. 2022 on why trees do well on such vectors).
"""

import numpy as np
import torch

from umemma.errors import DataError
from umemma.media.kinds import events

STATISTICS = (
    "count",  # 0 where nothing was measured; all others are then NaN
    "mean",
    "min",
    "max",
    "sd",
    "median",
    "first",
    "last",
    "time of first",
    "time of last",
    "slope",
    "last - first",
    "mean of first half",
    "min of first half",
    "max of first half",
    "mean of last quarter",
    "min of last quarter",
    "max of last quarter",
    "recent mean",  # weights fall by half with every eighth of the span
    "mean step",
    "longest gap",
)


class Decoder:
    """Decode events to float32 (variables * 21,), the statistics of one variable after those of another.

    `variables`: how many there are, or their names. `span`: the time that the events can fill, in their unit; times and
    gaps are fractions of it, a slope is the change over it. What was not measured is NaN, and its count 0.
    """

    def __init__(self, *, variables: int | list[str], span: float) -> None:
        num = variables if isinstance(variables, int) else len(variables)
        if num < 1 or span <= 0:
            raise ValueError(f"variables ({variables!r}) and span ({span!r}) must be above 0")
        self._num_variables, self._span = num, float(span)

    def __call__(self, content: bytes) -> torch.Tensor:
        """Return the statistics. Raises DataError for unreadable bytes, another shape, or an unknown variable."""
        time, variable, value = events.read(content).astype(np.float64).T
        if variable.max() >= self._num_variables:
            raise DataError(f"variable {variable.max():g}, but decode.variables are {self._num_variables}, 0 and on")
        order = np.argsort(variable, kind="stable")  # within a variable by time, as they are read
        found, start = np.unique(variable[order].astype(np.int64), return_index=True)
        result = np.full((self._num_variables, len(STATISTICS)), np.nan)
        result[:, 0] = 0
        result[found] = _statistics(time[order] / self._span, value[order], start)
        return torch.from_numpy(result.astype(np.float32).ravel())


def _statistics(time: np.ndarray, value: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Return (variable, statistic) of events sorted by variable and time; `start` (variable,) is each one's first."""
    count = np.diff([*start, len(time)])
    end = start + count - 1
    own = np.repeat(np.arange(len(start)), count)  # each event's variable

    def mean(values: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
        weight = np.ones_like(values) if weight is None else weight.astype(np.float64)
        total = np.add.reduceat(weight, start)
        return np.divide(
            np.add.reduceat(weight * values, start), total, out=np.full(len(start), np.nan), where=total > 0
        )

    def extremes(rows: np.ndarray) -> list[np.ndarray]:
        some = np.where(rows, value, np.nan)
        return [np.fmin.reduceat(some, start), np.fmax.reduceat(some, start)]

    centre, middle = mean(value), mean(time)
    off, late = value - centre[own], time - middle[own]
    spread = mean(late**2)
    slope = np.divide(mean(off * late), spread, out=np.zeros(len(start)), where=spread > 0)
    by_value = value[np.lexsort((value, own))]
    early, recent = time <= 0.5, time >= 0.75
    step = np.abs(np.diff(value, prepend=value[0]))
    gap = np.diff(time, prepend=0.0)
    gap[start] = time[start]  # what lies before the first
    later = np.ones_like(time)
    later[start] = 0
    return np.stack(
        [
            count,
            centre,
            np.minimum.reduceat(value, start),
            np.maximum.reduceat(value, start),
            np.sqrt(mean(off**2)),
            (by_value[start + (count - 1) // 2] + by_value[start + count // 2]) / 2,
            value[start],
            value[end],
            time[start],
            time[end],
            slope,
            value[end] - value[start],
            mean(value, early),
            *extremes(early),
            mean(value, recent),
            *extremes(recent),
            mean(value, 0.5 ** (8 * (time[end][own] - time))),
            np.where(count > 1, mean(step, later), np.nan),
            np.maximum(np.maximum.reduceat(gap, start), 1 - time[end]),
        ],
        axis=1,
    )
