"""Which axis of arrays in files is time: found by their shapes, as an array says nothing of it.

The axis that varies from file to file is time; of two that do not, the one that is much longer. A first axis of one is a
batch of one.
"""

from collections.abc import Sequence
from typing import Any

_MUCH_LONGER = 4


def look(shapes: Sequence[tuple[int, ...]]) -> tuple[dict[str, Any], list[str]]:
    """Return `kind`, and `layout` where it is not the default, for arrays of these shapes; and sentences for the user."""
    plain = [_without_ones(shape) for shape in shapes]
    if any(len(shape) != 2 for shape in plain):
        return ({"kind": "vector"} if all(len(shape) == 1 for shape in plain) else {"kind": "series"}), []
    (first, last), shown = zip(*plain, strict=True), " x ".join(map(str, plain[0]))
    if all(side == 1 for side in first) and len(set(last)) == 1:
        return {"kind": "vector"}, [f"arrays of {shown} are taken as vectors, of a batch of one"]
    does_first_vary, does_last_vary = len(set(first)) > 1, len(set(last)) > 1
    is_much_longer = max(first) * _MUCH_LONGER <= min(last)
    if not (is_much_longer if does_first_vary == does_last_vary else does_last_vary):
        return {"kind": "series"}, []
    return {"kind": "series", "layout": "channels_first"}, [
        f"arrays such as {shown} are taken as {plain[0][0]} channels of {plain[0][1]} steps (layout: channels_first); "
        f"without layout they would be {plain[0][0]} steps of {plain[0][1]} channels"
    ]


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Leave out axes of one, as `tables/series.py` does, while there are more than two."""
    while len(shape) > 2 and shape[0] == 1:
        shape = shape[1:]
    while len(shape) > 2 and shape[-1] == 1:
        shape = shape[:-1]
    return shape
