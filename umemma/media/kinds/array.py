"""Arrays of numbers in NumPy's .npy format: vectors of one axis, series of two, (step, channel).

NaN is a number that was not measured, and no fault; infinity is one. The header is checked before memory is allocated,
as a damaged one may ask for terabytes, and pickled data are never loaded: pickle runs code.
"""

import io
import math
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from umemma import limits
from umemma.errors import DataError, OverLimit

_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
KIND_OF_AXES = {1: "vector", 2: "series"}


def read(content: bytes, axes: Collection[int] = (1, 2)) -> np.ndarray:
    """Return the array as float32, with one of the given numbers of axes.

    Raises DataError if it is no array, truncated, empty, not of real numbers, or holds infinity.
    """
    expected = " or ".join(KIND_OF_AXES[num_axes] for num_axes in axes)
    try:
        _check_axes(*header(content), axes)
        values = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
    except OverLimit:
        raise
    except Exception as error:  # NumPy reads the header as Python code: a damaged one raises almost anything
        raise DataError(f"no readable {expected}: {error}") from error
    with np.errstate(over="ignore"):
        values = values.astype(np.float32)
    if np.isinf(values).any():
        raise DataError(f"{KIND_OF_AXES[values.ndim]} holds infinity or a number beyond float32")
    return values


def facts(content: bytes) -> dict[str, object]:
    """Return the kind, given by the number of axes, and the size.

    `num_missing` counts the numbers that were not measured; `blank`: nothing was measured, or all, and every channel is
    constant.
    """
    values = read(content)
    num_missing = int(np.isnan(values).sum())
    size = (
        {"kind": "vector", "num_values": values.size}
        if values.ndim == 1
        else {"kind": "series", "num_steps": values.shape[0], "channels": values.shape[1]}
    )
    blank = bool((values == values[0]).all()) if num_missing == 0 else num_missing == values.size
    return size | {"num_missing": num_missing, "blank": blank}


def header(content: bytes) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return the shape and type that a .npy file declares, all of whose numbers are there.

    Raises ValueError, with the reason, if it is no array of plain values or is truncated, OverLimit if it is too large.
    """
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    if version not in _HEADERS:
        raise ValueError(f"format version {version} of .npy is not one for plain numbers")
    shape, _, dtype = _HEADERS[version](stream)
    if dtype.hasobject:
        raise ValueError("it holds Python objects, such as rows of unequal length, not numbers")
    if any(size < 0 for size in shape):
        raise ValueError(f"shape {shape} is none: an axis cannot be of less than nothing")
    promised, remaining = dtype.itemsize * math.prod(shape), len(content) - stream.tell()
    if remaining < promised:
        raise ValueError(f"it is truncated: {promised:,} bytes of numbers are promised, {remaining:,} are there")
    limits.check("array_values", math.prod(shape), "the array")
    return shape, dtype


def _check_axes(shape: Sequence[int], dtype: np.dtype[Any], axes: Collection[int]) -> None:
    if len(shape) not in axes or 0 in shape or dtype.kind not in "fiu":
        along = " or ".join(f"{KIND_OF_AXES[num]} along {num} {'axis' if num == 1 else 'axes'}" for num in axes)
        raise ValueError(f"shape {shape} and type {dtype}, not real numbers of a {along}")
