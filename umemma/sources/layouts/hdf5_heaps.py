"""An HDF5 file that is looked at as HDF5 reads it: its library never returns from a heap whose free space has length 0.

Texts and lists of any length are in such heaps: the signature, four bytes of version, the heap's length, and its parts, each
a number, twelve bytes that end in its length, and the content, filled up to eight bytes. The part with the number 0 is free
space, and its length includes these sixteen bytes. HDF5 2.0 goes on by that length, for ever if it is 0
(https://github.com/HDFGroup/hdf5/issues/1707), in C, where nothing can interrupt it.
"""

import io
import os
from typing import TYPE_CHECKING

from umemma.errors import DataError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_SIGNATURE = b"GCOL\1\0\0\0"
_HEAD = 16
_WINDOW = 2**20


class Checked(io.FileIO):
    """A file for the driver `fileobj` of h5py. Reading a part of it with such a heap raises DataError."""

    def readinto(self, buffer: "WriteableBuffer", /) -> int | None:
        """Read as any file; a heap is found by its signature, also where that is read in two parts."""
        begin = self.tell()
        num_bytes = super().readinto(buffer) or 0
        margin = len(_SIGNATURE) - 1
        for start in range(max(0, begin - margin), begin + num_bytes, _WINDOW):
            around = os.pread(self.fileno(), min(_WINDOW, begin + num_bytes - start) + margin, start)
            at = around.find(_SIGNATURE)
            while at >= 0:
                self._check(start + at)
                at = around.find(_SIGNATURE, at + 1)
        return num_bytes

    def _check(self, heap: int) -> None:
        position, end = heap + _HEAD, heap + self._length(heap)
        while position + _HEAD <= end and (number := os.pread(self.fileno(), 2, position)):
            length = self._length(position)
            if number.strip(b"\0"):
                position += _HEAD + -(-length // 8) * 8
            elif length:
                position += length
            else:
                raise DataError(f"its heap at byte {heap:,} has free space of no length")

    def _length(self, head: int) -> int:
        return int.from_bytes(os.pread(self.fileno(), 8, head + 8), "little")
