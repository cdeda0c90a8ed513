"""Convolutions over words with max-pooling over the text: Kim 2014 (arXiv 1408.5882), trained from scratch.

Made for word ids (`words`, `tokens`): 0 is padding, which the pooling ignores. Dropout in training also drops whole
words: with a few thousand texts nearly all parameters are word embeddings.
"""

from collections.abc import Sequence

import torch
from torch import nn


def build(
    shape: Sequence[int],
    *,
    vocabulary: int = 20_000,
    width: int = 128,
    kernels: Sequence[int] = (1, 2, 3),
    filters: int = 128,
    dim: int = 64,
    dropout: float = 0.3,
) -> nn.Module:
    """Return a module (batch, length) of ids -> (batch, dim).

    `vocabulary` is the largest id, `decode.buckets` of the decoder `words`. Word embeddings of `width`; `filters` for
    each of the `kernels`, which are lengths in words.
    """
    if len(shape) != 1:
        raise ValueError(f"text_cnn takes word ids (length,), not {tuple(shape)}")
    if min(vocabulary, width, filters, dim, *kernels, len(kernels)) < 1 or not 0 <= dropout < 1:
        raise ValueError(
            f"vocabulary, width, filters, dim and kernels must be 1 or more, dropout at least 0 and below "
            f"1; they are {vocabulary}, {width}, {filters}, {dim}, {list(kernels)} and {dropout}"
        )
    return TextCNN(vocabulary, width, kernels, filters, dim=dim, dropout=dropout)


class TextCNN(nn.Module):
    """(batch, length) of ids, 0 for padding -> (batch, dim)."""

    scaling = "none"

    def __init__(
        self, vocabulary: int, width: int, kernels: Sequence[int], filters: int, *, dim: int, dropout: float
    ) -> None:
        super().__init__()
        self.value_range = (0, vocabulary)
        self.word_dropout = dropout
        self.embedding = nn.Embedding(vocabulary + 1, width, padding_idx=0)
        self.convolutions = nn.ModuleList(nn.Conv1d(width, filters, size) for size in kernels)
        self.output = nn.Sequential(nn.Dropout(dropout), nn.Linear(len(kernels) * filters, dim), nn.ReLU())

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        """Return (batch, dim), defined also for a text without words."""
        ids = value.long()
        is_word = ids > 0
        if self.training:
            ids = ids * (torch.rand(ids.shape, device=ids.device) >= self.word_dropout)
        words = self.embedding(ids).transpose(1, 2)
        maxima = []
        for layer in self.convolutions:
            assert isinstance(layer, nn.Conv1d)
            padded = nn.functional.pad(words, (0, layer.kernel_size[0] - 1))  # one window starts at each word
            maxima.append((layer(padded).relu() * is_word[:, None]).amax(dim=2))
        return self.output(torch.cat(maxima, dim=1))
