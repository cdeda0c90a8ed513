"""A series at one rate, from measurements at their times: files of one data set may differ in rate, and lose steps.

Between two neighbouring measurements values are interpolated linearly; where one or more steps were lost nothing is, and
the gap stays. A lower rate is reached through a low-pass filter that is free of shift (`scipy.signal.resample_poly`), as
else a fast vibration would turn up as a slow one; gaps have no weight in it.
"""

import math
from fractions import Fraction

import numpy as np

_LOST = 1.9  # steps without a measurement from which one was lost; less is jitter of the clock
_SAME = 0.02  # difference of two rates that are meant to be one
_LEAST_WEIGHT = 0.5  # share of a filter's weight that was measured
_MOST_STEPS = 1000  # to one, by the filter
_STEPS_AT_ONCE = 1 << 20  # memory: a series of the most values that are read takes several times its own otherwise


def at_rate(seconds: np.ndarray, values: np.ndarray, rate_hz: float) -> np.ndarray:
    """Return float32 (step, channel) at `rate_hz`, of `values` (measurement, channel) at `seconds`, ascending.

    Measurements of the same time are averaged. A single one is returned as it is.
    """
    seconds, values = _averaged(seconds, values.astype(np.float64))
    if len(seconds) < 2:
        return values.astype(np.float32)
    step = rate(seconds) ** -1
    if step * rate_hz > 1 - _SAME:
        return _interpolated(seconds, values, step, 1 / rate_hz).astype(np.float32)
    return _lowered(_interpolated(seconds, values, step, step), step * rate_hz).astype(np.float32)


def rate(seconds: np.ndarray) -> float:
    """Return the usual rate of measurements at these times, two or more, in Hz."""
    steps = np.diff(np.unique(seconds))
    return float(1 / np.median(steps)) if len(steps) else np.inf


def _averaged(seconds: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    times, place = np.unique(seconds, return_inverse=True)
    if len(times) == len(seconds):
        return seconds, values
    count, total = np.zeros((len(times), values.shape[1])), np.zeros((len(times), values.shape[1]))
    np.add.at(count, place, ~np.isnan(values))
    np.add.at(total, place, np.nan_to_num(values))
    return times, np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


def _interpolated(seconds: np.ndarray, values: np.ndarray, step: float, new_step: float) -> np.ndarray:
    """Return values every `new_step` from the first time on; NaN where the measured neighbours are too far apart."""
    num_steps = int(np.floor((seconds[-1] - seconds[0]) / new_step + _SAME)) + 1
    result = np.full((num_steps, values.shape[1]), np.nan)
    for channel, column in enumerate(values.T):
        measured = ~np.isnan(column)
        times, numbers = seconds[measured], column[measured]
        if not len(times):
            continue
        for start in range(0, num_steps, _STEPS_AT_ONCE):
            grid = seconds[0] + new_step * np.arange(start, min(start + _STEPS_AT_ONCE, num_steps))
            after = np.searchsorted(times, grid).clip(0, len(times) - 1)
            before = np.maximum(after - (times[after] > grid), 0)
            is_near = np.minimum(np.abs(times[after] - grid), np.abs(times[before] - grid)) <= step / 4
            is_between = (
                (times[before] <= grid) & (grid <= times[after]) & (times[after] - times[before] < _LOST * step)
            )
            result[start : start + len(grid), channel] = np.where(
                is_near | is_between, np.interp(grid, times, numbers), np.nan
            )
    return result


def _lowered(values: np.ndarray, ratio: float) -> np.ndarray:
    """Return values of a series at `ratio`, below 1, of its rate; what is not measured in `values` becomes 0."""
    from scipy.signal import resample_poly  # takes half a second

    measured = ~np.isnan(values)
    values[~measured] = 0.0
    weight = measured.astype(np.float64)
    several = math.ceil(1 / (_MOST_STEPS * ratio))
    if several > 1:  # means of a few steps first, as the filter is as long as the ratio
        starts = np.arange(0, len(values), several)
        weight, values = (np.add.reduceat(each, starts) / several for each in (weight, values))
    share = Fraction(ratio * several).limit_denominator(_MOST_STEPS)
    weight = resample_poly(weight, share.numerator, share.denominator, axis=0)
    total = resample_poly(values, share.numerator, share.denominator, axis=0)
    return np.divide(total, weight, out=np.full_like(total, np.nan), where=weight >= _LEAST_WEIGHT)
