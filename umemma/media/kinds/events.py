"""Irregular events, such as laboratory values: a .npy file (event, 3) of time, number of the variable, and value.

Nothing is said of what was not measured: that is the point of the format. The order of events does not matter.
"""

import numpy as np

from umemma.errors import DataError
from umemma.media.kinds import array


def read(content: bytes) -> np.ndarray:
    """Return (event, 3) as float32, sorted by time; the variables are whole numbers from 0 on.

    Raises DataError if it is anything else, empty, or one of the numbers is NaN or infinite.
    """
    events = array.read(content, axes=(2,))
    if events.shape[1] != 3:
        raise DataError(f"events have 3 columns (time, variable, value), not {events.shape[1]}")
    if np.isnan(events).any():
        raise DataError("an event holds NaN: what was not measured is no event")
    variable = events[:, 1]
    if (variable < 0).any() or (variable % 1).any():
        raise DataError(f"an event's variable, its second number, is a whole number from 0 on, not {variable.min():g}")
    return events[np.argsort(events[:, 0], kind="stable")]


def facts(content: bytes) -> dict[str, object]:
    """Return the number of events, and of different variables among them."""
    events = read(content)
    return {"num_events": len(events), "num_variables": len(np.unique(events[:, 1])), "blank": False}
