"""Arrays of numbers in NumPy's .npy format: vectors of one axis, series of two, (step, channel).

The header is read before anything is made room for, as a damaged one may ask for terabytes, and nothing pickled is
ever loaded: pickle runs code.
"""

import io
from collections.abc import Collection

import numpy as np

from umemma.errors import DataError

_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
KIND_OF_AXES = {1: "vector", 2: "series"}


def read(content: bytes, axes: Collection[int] = (1, 2)) -> np.ndarray:
    """Return the array as float32, in one of the numbers of axes that are asked for.

    Raises DataError for what is no array, cut, without values, of no real numbers, or holds NaN or infinity.
    """
    what = " or ".join(KIND_OF_AXES[one] for one in axes)
    try:
        _check_header(content, axes)
        values = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
    except Exception as error:  # NumPy reads the header as Python code: a damaged one raises almost anything
        raise DataError(f"no readable {what}: {error}") from error
    with np.errstate(over="ignore"):
        values = values.astype(np.float32)
    if not np.isfinite(values).all():
        raise DataError(f"{KIND_OF_AXES[values.ndim]} holds NaN, infinity or a number beyond float32")
    return values


def facts(content: bytes) -> dict[str, object]:
    """Return the kind, which the number of axes decides, and the size; `blank`: every channel holds one number."""
    values = read(content)
    if values.ndim == 1:
        return {"kind": "vector", "num_values": values.size, "blank": bool((values == values[0]).all())}
    return {
        "kind": "series",
        "num_steps": values.shape[0],
        "channels": values.shape[1],
        "blank": bool((values == values[0]).all()),
    }


def _check_header(content: bytes, axes: Collection[int]) -> None:
    """Raise ValueError, in words, where the header is not that of an array we can use."""
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    if version not in _HEADERS:
        raise ValueError(f"format version {version} of .npy is not one for plain numbers")
    shape, _, dtype = _HEADERS[version](stream)
    if dtype.hasobject:
        raise ValueError("it holds Python objects, such as rows of unequal length, not numbers")
    if len(shape) not in axes or 0 in shape or dtype.kind not in "fiu":
        along = " or ".join(f"{KIND_OF_AXES[one]} along {one} {'axis' if one == 1 else 'axes'}" for one in axes)
        raise ValueError(f"shape {shape} and type {dtype}, not real numbers of a {along}")
    promised, there = dtype.itemsize * int(np.prod(shape, dtype=object)), len(content) - stream.tell()
    if there < promised:
        raise ValueError(f"it is truncated: {promised:,} bytes of numbers are promised, {there:,} are there")
