"""Rows of a memory-mapped array, such as those of a modality that some samples lack, too many to hold in memory."""

import tempfile

import numpy as np
import torch

_BLOCK = 2**26  # bytes


def rows_on_disk(value: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Copy `rows` (row number,) of `value` (sample, ...) into a file without a name, and map it.

    The system writes its pages out and drops them where memory is short; the disk space, in TMPDIR, is free again once
    nothing holds the tensor. Raises OSError where there is too little.
    """
    row_bytes = value[:1].nbytes
    with tempfile.TemporaryFile() as file:
        for part in rows.split(max(1, _BLOCK // row_bytes)):
            file.write(value.index_select(0, part).numpy().data)
        file.flush()
        shape = (len(rows), *value.shape[1:])
        return torch.from_numpy(np.memmap(file, value[:1].numpy().dtype, "c", shape=shape))
