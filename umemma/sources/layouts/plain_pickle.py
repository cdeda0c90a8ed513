"""Pickles of arrays and plain containers, read without running what they may hold.

A pickle is a program: loading one from a stranger runs it. Public data sets come with a few (spectrograms as `.pkl`,
a vocabulary inside a `.npy`), so these are read by an unpickler that knows NumPy's array, type and scalar, and numbers,
texts, lists, tuples and mappings, which need no name. Every other name in the pickle is an error before anything
is called by it. Pickles of Python 2 are read, too; their plain strings come out as bytes.
"""

import io
import pickle
from typing import Any

import numpy as np

from umemma.errors import DataError

_CORES = ("numpy.core", "numpy._core")  # NumPy 1 and 2
_ALLOWED = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): lambda text, encoding: text.encode("latin1"),  # how protocol 2 writes bytes
    **{
        (f"{core}.multiarray", name): getattr(np._core.multiarray, name)  # type: ignore[attr-defined]
        for core in _CORES
        for name in ("_reconstruct", "scalar")
    },
    **{(f"{core}.numeric", "_frombuffer"): np._core.numeric._frombuffer for core in _CORES},  # type: ignore[attr-defined]
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise DataError(f"its pickle holds {module}.{name}; only arrays, numbers, texts and containers are read")
        return _ALLOWED[module, name]


def loads(content: bytes) -> Any:
    """Return what a pickle holds. Raises DataError where it holds anything else, or is damaged."""
    try:
        return _Unpickler(io.BytesIO(content), encoding="bytes").load()
    except DataError:
        raise
    except Exception as error:  # a damaged pickle raises almost anything
        raise DataError(f"no readable pickle: {error}") from error


def npy(content: bytes) -> Any:
    """Return the object in a .npy file that holds one, which `numpy.load` refuses. Raises DataError."""
    stream = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(stream)
        read_header = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}[version[0]]
        shape, _, dtype = read_header(stream)
    except Exception as error:  # NumPy reads the header as Python code: a damaged one raises almost anything
        raise DataError(f"no readable .npy file: {error}") from error
    if shape or not dtype.hasobject:
        raise DataError(f"holds an array {shape} of {dtype}, not one object")
    return loads(stream.read())[()]
