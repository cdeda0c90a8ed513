"""Irregular events, (time, variable, value), to a float32 series (variable, bin) with NaN where nothing was measured.

Bins lose when in a bin something was measured; `statistics` keeps it.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from umemma.errors import DataError, ParameterError, unknown
from umemma.media.kinds import events

_VALUES: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = {
    "mean": lambda values, start, count: np.add.reduceat(values, start) / count,
    "last": lambda values, start, count: values[start + count - 1],
}


class Decoder:
    """Decode events to float32 (variable, bin): `bins` of equal length from time 0 to `span`, in the events' unit.

    `variables`: how many there are, or their names, in the order of their numbers. `value`: the mean or the last of what
    was measured in a bin. Events at `span` belong to the last bin, others outside of it are an error.
    """

    def __init__(self, *, variables: int | Sequence[str], span: float, bins: int, value: str = "mean") -> None:
        num = variables if isinstance(variables, int) else len(variables)
        if min(num, bins) < 1 or span <= 0:
            raise ValueError(f"variables ({variables!r}), span ({span!r}) and bins ({bins!r}) must be above 0")
        if value not in _VALUES:
            raise ParameterError(unknown("decode.value", "value of a bin", value, _VALUES))
        self._num_variables, self._span, self._num_bins, self._value = num, float(span), bins, value

    def __call__(self, content: bytes) -> torch.Tensor:
        """Return the series. Raises DataError for unreadable bytes, an unknown variable, or a time outside of the span."""
        time, variable, value = events.read(content).astype(np.float64).T
        if variable.max() >= self._num_variables:
            raise DataError(f"variable {variable.max():g}, but decode.variables are {self._num_variables}, 0 and on")
        if time[0] < 0 or time[-1] > self._span:
            raise DataError(f"events from {time[0]:g} to {time[-1]:g}, outside of 0 to decode.span, {self._span:g}")
        in_bin = np.minimum((time / self._span * self._num_bins).astype(np.int64), self._num_bins - 1)
        cell = variable.astype(np.int64) * self._num_bins + in_bin
        order = np.argsort(cell, kind="stable")
        filled, start, count = np.unique(cell[order], return_index=True, return_counts=True)
        series = np.full(self._num_variables * self._num_bins, np.nan, np.float32)
        series[filled] = _VALUES[self._value](value[order], start, count)
        return torch.from_numpy(series.reshape(self._num_variables, self._num_bins))
