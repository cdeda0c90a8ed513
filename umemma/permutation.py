"""A permutation test: what a statistic would be if chance had dealt out the values otherwise."""

from collections.abc import Callable

import numpy as np

_TIMES = 999
_TIE = 1e-9  # the same cells, added in another order, differ by less


def chance_of(statistic: Callable[[np.ndarray], float], values: np.ndarray) -> float:
    """Return p of a statistic of (sample,) values that is so high, among orders of the values; never 0."""
    generator, observed = np.random.default_rng(0), statistic(values) - _TIE
    as_high = sum(statistic(generator.permutation(values)) >= observed for _ in range(_TIMES))
    return (1 + as_high) / (1 + _TIMES)
