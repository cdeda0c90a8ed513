"""Values that may be larger than memory: mapped from files, of which the system holds what it has room for."""

import ctypes
import mmap
import tempfile

import numpy as np
import torch

LARGE = 2**27  # bytes; less is read into memory soon and stays there
_BLOCK = 2**26  # bytes that are copied at once


def rows_on_disk(value: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Copy `rows` (row number,) of `value` (sample, ...) into a file without a name, and map it.

    The disk space, in TMPDIR, is free again once nothing holds the tensor. Raises OSError where there is too little.
    """
    with tempfile.TemporaryFile() as file:
        for part in rows.split(max(1, _BLOCK // value[:1].nbytes)):
            file.write(value.index_select(0, part).numpy().data)
        file.flush()
        shape = (len(rows), *value.shape[1:])
        return torch.from_numpy(np.memmap(file, value[:1].numpy().dtype, "c", shape=shape))


def will_need(value: torch.Tensor, rows: torch.Tensor) -> None:
    """Have the system read `rows` (row number,) of `value` from disk while the caller goes on, if they are mapped.

    Where it is not told, it reads far more than a row around each that is missing, 128 kB or megabytes, and the caller waits.
    """
    if value.device.type != "cpu" or value.nbytes < LARGE or not value.is_contiguous():
        return
    size = value[:1].nbytes
    for start in (value.data_ptr() + rows * size).tolist():
        page = start - start % mmap.PAGESIZE
        _madvise(page, start + size - page, mmap.MADV_WILLNEED)  # advice: of memory that is not mapped it means nothing


_madvise = ctypes.CDLL(None).madvise
_madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
