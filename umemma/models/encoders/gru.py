"""A bidirectional GRU (Cho et al. 2014), trained from scratch, over words or over the steps of a series.

Padding is packed away, so that the backward direction starts at the last word or step, and the output does not depend on
the amount of padding. The states' mean and maximum are concatenated. Of a series with gaps the input says what was
measured and how long ago (Che et al. 2018, arXiv 1606.01865); some hundred steps are enough, as each is computed after
the other.
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
    """Return a module (batch, length) of ids or (batch, channel, time) -> (batch, dim).

    `vocabulary` is the largest id, `decode.buckets` of the decoder `words`. Embeddings of words or steps of `width`,
    `hidden` states in each direction.
    """
    if len(shape) not in (1, 2):
        raise ValueError(
            f"gru takes word ids (length,) or series (channel, time), not {tuple(shape)}; lenet takes maps"
        )
    if min(vocabulary, width, hidden, dim) < 1 or not 0 <= dropout < 1:
        raise ValueError(
            f"vocabulary, width, hidden and dim must be 1 or more, dropout at least 0 and below 1; they "
            f"are {vocabulary}, {width}, {hidden}, {dim} and {dropout}"
        )
    if len(shape) == 1:
        return TextGRU(vocabulary, width, hidden, dim, dropout)
    return SeriesGRU(shape[0], width, hidden, dim, dropout)


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
        steps = self.dropout(self.embedding(ids))
        return self.output(_pooled(self.gru, steps, (ids > 0).sum(dim=1), ids > 0))


class SeriesGRU(nn.Module):
    """(batch, channel, time) -> (batch, dim)."""

    masks_padding = True

    def __init__(self, num_channels: int, width: int, hidden: int, dim: int, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Sequential(nn.Linear(num_channels, width), nn.ReLU(), nn.Dropout(dropout))
        self.gru = nn.GRU(width, hidden, batch_first=True, bidirectional=True)
        self.output = nn.Sequential(nn.Dropout(dropout), nn.Linear(4 * hidden, dim), nn.ReLU())

    def forward(self, value: torch.Tensor, is_padding: torch.Tensor | None = None) -> torch.Tensor:
        """Return (batch, dim); `is_padding` (batch, time)."""
        steps = self.embedding(value.transpose(1, 2))
        if is_padding is None:
            is_padding = torch.zeros(steps.shape[:2], dtype=torch.bool, device=steps.device)
        place = torch.arange(1, steps.shape[1] + 1, device=steps.device)
        return self.output(_pooled(self.gru, steps, (place * ~is_padding).amax(dim=1), ~is_padding))


def _pooled(gru: nn.GRU, steps: torch.Tensor, lengths: torch.Tensor, is_used: torch.Tensor) -> torch.Tensor:
    """Return (batch, 4 * hidden): mean and maximum of the states at the steps used, none of which is after `lengths`."""
    packed = pack_padded_sequence(steps, lengths.clamp_min(1).cpu(), batch_first=True, enforce_sorted=False)
    states, _ = pad_packed_sequence(gru(packed)[0], batch_first=True, total_length=steps.shape[1])
    is_used = is_used[:, :, None]
    mean = states.masked_fill(~is_used, 0.0).sum(dim=1) / is_used.sum(dim=1).clamp_min(1)
    maximum = states.masked_fill(~is_used, -1.0).amax(dim=1)  # states lie between -1 and 1
    return torch.cat([mean, maximum], dim=1)
