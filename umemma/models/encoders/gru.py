"""A bidirectional GRU over words (Cho et al. 2014), trained from scratch, for texts where word order matters.

Padding (id 0) is packed away, so that the backward direction starts at a text's last word and the output does not
depend on the amount of padding. The states' mean and maximum over the words are concatenated.
"""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


def build(
    shape: Sequence[int],
    *,
    vocabulary: int = 20_000,
    width: int = 128,
    hidden: int = 64,
    dim: int = 64,
    dropout: float = 0.3,
) -> nn.Module:
    """Return a module (batch, length) of ids -> (batch, dim).

    `vocabulary` is the largest id, `decode.buckets` of the decoder `words`. Word embeddings of `width`, `hidden`
    states in each direction.
    """
    if len(shape) != 1:
        raise ValueError(f"gru takes word ids (length,), not {tuple(shape)}; tcn takes series (channel, time)")
    if min(vocabulary, width, hidden, dim) < 1 or not 0 <= dropout < 1:
        raise ValueError(
            f"vocabulary, width, hidden and dim must be 1 or more, dropout at least 0 and below 1; they "
            f"are {vocabulary}, {width}, {hidden}, {dim} and {dropout}"
        )
    return TextGRU(vocabulary, width, hidden, dim, dropout)


class TextGRU(nn.Module):
    """(batch, length) of ids, 0 for padding -> (batch, dim)."""

    scaling = "none"

    def __init__(self, vocabulary: int, width: int, hidden: int, dim: int, dropout: float) -> None:
        super().__init__()
        self.value_range = (0, vocabulary)
        self.embedding = nn.Embedding(vocabulary + 1, width, padding_idx=0)
        self.dropout = nn.Dropout(dropout)
        self.gru = nn.GRU(width, hidden, batch_first=True, bidirectional=True)
        self.output = nn.Sequential(nn.Dropout(dropout), nn.Linear(4 * hidden, dim), nn.ReLU())

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        """Return (batch, dim), defined also for a text without words."""
        ids = value.long()
        is_word = (ids > 0)[:, :, None]
        lengths = (ids > 0).sum(dim=1)
        packed = pack_padded_sequence(
            self.dropout(self.embedding(ids)), lengths.clamp_min(1).cpu(), batch_first=True, enforce_sorted=False
        )
        states, _ = pad_packed_sequence(self.gru(packed)[0], batch_first=True, total_length=ids.shape[1])
        mean = states.masked_fill(~is_word, 0.0).sum(dim=1) / lengths.clamp_min(1)[:, None]
        maximum = states.masked_fill(~is_word, -1.0).amax(dim=1)  # states lie between -1 and 1
        return self.output(torch.cat([mean, maximum], dim=1))
