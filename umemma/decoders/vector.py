"""A vector, stored as the bytes of a .npy file, to a float32 tensor."""

import io

import numpy as np
import torch

from umemma.errors import DataError


class Decoder:
    """Decode a .npy file of one axis and real numbers to float32 (dim,)."""

    def __call__(self, content: bytes) -> torch.Tensor:
        """Return the vector. Raises DataError for unreadable bytes, other shapes or types, and NaN or infinity."""
        try:
            values = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
        except Exception as error:  # NumPy reads the header as Python code: a damaged one raises almost anything
            raise DataError(f"no readable vector: {error}") from error
        if values.ndim != 1 or not len(values) or values.dtype.kind not in "fiu":
            raise DataError(f"no readable vector: shape {values.shape} and type {values.dtype}, not real numbers "
                            "along one axis")
        vector = torch.from_numpy(values.astype(np.float32))
        if not vector.isfinite().all():
            raise DataError("vector holds NaN, infinity or a number beyond float32")
        return vector
