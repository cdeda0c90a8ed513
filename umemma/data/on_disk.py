"""Values that may be larger than memory: mapped from files, of which the system holds what it has room for.

A change of a mapped tensor is the process's own.
"""

import ctypes
import mmap
import tempfile
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import torch

LARGE = 2**27  # bytes; less is read into memory soon and stays there
_BLOCK = 2**26  # bytes that are copied at once


def mapped(path: Path) -> torch.Tensor:
    """Map an array's file, as `numpy.save` writes it."""
    return _tensor(np.load(path, mmap_mode="c"))


def rows(value: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Copy rows (row number,) of `value` (sample, ...) to where it is: of many that are mapped, into a file without a name.

    Its disk space, in TMPDIR, is free again once nothing holds the tensor. Raises OSError where there is too little.

    By `index_select`, which copies whole rows: of 112 px bytes one takes 1.5 us, by indexing 8.7.
    """
    size = value[:1].nbytes
    if not _is_mapped(value) or len(index) * size < LARGE:
        return value.index_select(0, index.to(value.device))
    with tempfile.TemporaryFile() as file:
        for part in index.split(max(1, _BLOCK // size)):
            file.write(value.index_select(0, part).numpy().data)
        file.flush()
        return _tensor(np.memmap(file, value[:1].numpy().dtype, "c", shape=(len(index), *value.shape[1:])))


def will_need(value: torch.Tensor, index: torch.Tensor) -> None:
    """Have the system read rows (row number,) of `value` from disk while the caller goes on, if they are mapped.

    Where it is not told, it reads far more than a row around each that is missing, 128 kB or megabytes, and the caller waits.
    """
    if not _is_mapped(value) or value.nbytes < LARGE:
        return
    size = value[:1].nbytes
    for start in (value.data_ptr() + index * size).tolist():
        page = start - start % mmap.PAGESIZE
        _madvise(page, start + size - page, mmap.MADV_WILLNEED)  # advice: nothing depends on whether it is taken


def _tensor(array: "np.memmap[Any, Any]") -> torch.Tensor:
    """Return a mapped array as a tensor that is known as such, and its views too, as long as it exists."""
    _addresses.add(array.ctypes.data)
    weakref.finalize(array, _addresses.discard, array.ctypes.data)
    return torch.from_numpy(array)


def _is_mapped(value: torch.Tensor) -> bool:
    return value.device.type == "cpu" and value.untyped_storage().data_ptr() in _addresses and value.is_contiguous()


_addresses: set[int] = set()  # at which mapped tensors begin
_madvise = ctypes.CDLL(None).madvise
_madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
