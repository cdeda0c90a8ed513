"""A vector, stored as the bytes of a .npy file, to a float32 tensor."""

import torch

from umemma.media.kinds import array


class Decoder:
    """Decode a .npy file of one axis and real numbers to float32 (dim,), NaN where one was not measured."""

    def __call__(self, content: bytes) -> torch.Tensor:
        """Return the vector. Raises DataError for unreadable bytes, other shapes or types, and infinity."""
        return torch.from_numpy(array.read(content, axes=(1,)))
