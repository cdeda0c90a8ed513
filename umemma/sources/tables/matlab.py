"""Reads the arrays of a MATLAB file (.mat of versions 4 to 7) within limits: its parts are packed, and declare their sizes.

Every part of a file of version 5 or later is a name, a length and that many bytes, packed by zlib or not. A few
kilobytes can so unpack to gigabytes, and a part inside can declare four that are not there: SciPy takes what is declared.
"""

import io
import math
import zlib
from collections.abc import Iterator

import numpy as np

from umemma import limits

_PACKED = 15  # type of a part
_HEADER = 128  # bytes before the first part


def arrays(content: bytes) -> dict[str, np.ndarray]:
    """Return the arrays by name. Raises OverLimit before they are read, and almost anything for a damaged file."""
    from scipy.io import loadmat, whosmat

    unpacking = limits.Unpacking(len(content))
    for number, size in enumerate(_unpacked(content), start=1):
        unpacking.add(size, f"its part {number}")
    for name, shape, _ in whosmat(io.BytesIO(content)):
        if any(size < 0 for size in shape):
            raise ValueError(f"shape {shape} of {name} is none")
        limits.check("array_values", math.prod(shape), f"its array {name}")
    found = loadmat(io.BytesIO(content))
    return {name: value for name, value in found.items() if isinstance(value, np.ndarray)}


def _unpacked(content: bytes) -> Iterator[int]:
    """Yield the bytes that each part unpacks to; nothing of version 4, which packs nothing."""
    if 0 in content[:4]:
        return
    order = "big" if content[126:128] == b"MI" else "little"
    position = _HEADER
    while position + 8 <= len(content):
        kind, length = (int.from_bytes(content[at : at + 4], order) for at in (position, position + 4))  # type: ignore[arg-type]
        position += 8
        part = content[position : position + length]
        yield _size(part) if kind == _PACKED else length
        position += length


def _size(packed: bytes) -> int:
    """Return how many bytes a part unpacks to, up to just over the limit."""
    unpacker, size, most = zlib.decompressobj(), 0, limits.current().file_mib * limits.MIB
    while packed and not unpacker.eof and size <= most:
        size += len(unpacker.decompress(packed, limits.MIB))
        packed = unpacker.unconsumed_tail
    return size
