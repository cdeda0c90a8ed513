"""Which words a text has, whatever their order: the encoder for a few thousand texts, where word order is not learned.

Each word counts 1 + log(its number in the text), times its rarity in the training set, log((1 + texts) / (1 + texts with
the word)) + 1, and a text's words together have length 1: TF-IDF. A word that fewer than two of the training texts have
is left out, as nothing can be learned of it. Made for word ids (`words`, `tokens`), 0 for padding.
"""

from collections.abc import Sequence

import torch
from torch import nn

from umemma.models.linear_columns import LinearColumns

_MIN_TEXTS = 2


def build(shape: Sequence[int], *, vocabulary: int = 20_000, dim: int = 64) -> nn.Module:
    """Return a module (batch, length) of ids -> (batch, dim).

    `vocabulary` is the largest id, `decode.buckets` of the decoder `words`.
    """
    if len(shape) != 1:
        raise ValueError(f"bag_of_words takes word ids (length,), not {tuple(shape)}")
    if min(vocabulary, dim) < 1:
        raise ValueError(f"vocabulary and dim must be 1 or more; they are {vocabulary} and {dim}")
    return BagOfWords(vocabulary, dim)


class BagOfWords(LinearColumns):
    """(batch, length) of ids -> (batch, dim); a text without known words is zero."""

    scaling = "none"
    rarity: torch.Tensor

    def __init__(self, vocabulary: int, dim: int) -> None:
        super().__init__(vocabulary + 1, dim)
        self.value_range = (0, vocabulary)
        self.register_buffer("rarity", torch.ones(vocabulary + 1))

    def columns(self, value: torch.Tensor, *_: torch.Tensor) -> torch.Tensor:
        """Return (batch, word): the weight of every word of the vocabulary; column 0 is zero."""
        counts = _counts(value, len(self.rarity))
        return nn.functional.normalize(torch.where(counts > 0, 1 + counts.log(), 0.0) * self.rarity, dim=1)

    def fit(self, sample: torch.Tensor, *_: torch.Tensor) -> None:
        """Count the texts that have each word."""
        texts = sum(((_counts(part, len(self.rarity)) > 0).sum(dim=0) for part in sample.split(500)), torch.zeros(()))
        self.rarity.copy_(torch.where(texts < _MIN_TEXTS, 0.0, ((1 + len(sample)) / (1 + texts)).log() + 1))


def _counts(ids: torch.Tensor, num_words: int) -> torch.Tensor:
    """Return (batch, word): how often each text has each word; nothing of padding."""
    counts = torch.zeros(ids.shape[0], num_words, device=ids.device)  # `len` would be fixed in a program (serving/onnx)
    counts.scatter_add_(1, ids.long(), torch.ones_like(ids, dtype=counts.dtype))
    counts[:, 0] = 0
    return counts
