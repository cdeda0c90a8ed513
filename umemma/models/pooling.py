"""Fixed columns for classical models: what thirty lines of scikit-learn would compute of a modality's arrays.

Nothing is learned but what words count: a vector stays itself, a series becomes statistics by channel, a picture a
coarse grid and its histograms of oriented gradients (Dalal & Triggs 2005), a spectrogram statistics by band, frames the
pictures' columns and how they change, a text TF-IDF. NaN means "not measured", before and after.
"""

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import nn

_GRID_PX = 8
_NUM_BANDS, _NUM_FRAMES = 32, 8
_NUM_ORIENTATIONS, _MAX_CELLS = 8, 7
_MAX_WORDS, _MIN_TEXTS = 4_000, 2  # a word of a single text cannot be generalised from
_LONG = 128  # steps from which the spectrum of a series says more than its noise
_LEVELS = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)  # quantiles of a series
_ROWS = 500
_ROWS_OF_COMPONENTS = 20_000


class Pooling(nn.Module):
    """(sample, *shape) of any real type -> (sample, dim) float32; NaN where nothing was measured."""

    word: torch.Tensor
    idf: torch.Tensor
    components: torch.Tensor

    def __init__(self, kind: str, shape: tuple[int, ...], num_words: int = 0, num_components: int = 0) -> None:
        super().__init__()
        self.kind, self.shape = kind, tuple(shape)
        self.register_buffer("word", torch.zeros(num_words, dtype=torch.int64))
        self.register_buffer("idf", torch.ones(num_words))
        self.register_buffer("components", torch.zeros(num_words, num_components))
        self.dim = self.eval()(torch.zeros(1, *shape)).shape[1]

    @classmethod
    def fit(cls, sample: torch.Tensor, *, max_columns: int) -> "Pooling":
        """Return the pooling for samples like these of the training set, (sample, *shape).

        Words beyond `max_columns` are summed up in that many leading directions (latent semantic analysis): trees find
        little in columns that are almost always zero.
        """
        kind = kind_of(sample)
        if kind != "words":
            return cls(kind, tuple(sample.shape[1:]))
        word, idf = _vocabulary(sample)
        num_components = min(max_columns, len(sample)) if len(word) > max_columns else 0  # no more than texts
        pooling = cls(kind, tuple(sample.shape[1:]), len(word), num_components)
        pooling.word.copy_(word)
        pooling.idf.copy_(idf)
        if num_components:
            pooling.components.copy_(pooling._leading(sample[:_ROWS_OF_COMPONENTS], num_components))
        return pooling

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        """Return the columns."""
        if self.kind != "words":
            return COLUMNS[self.kind](value.float()).float()
        weights = self._weights(value)
        return weights @ self.components if self.components.shape[1] else weights

    def facts(self) -> dict[str, Any]:
        """Return the facts needed to rebuild this before its numbers are loaded: see `blank`."""
        num_words, num_components = self.components.shape
        return {"kind": self.kind, "shape": list(self.shape), "words": num_words, "components": num_components}

    @classmethod
    def blank(cls, facts: Mapping[str, Any]) -> "Pooling":
        """Return the pooling that `facts` describe."""
        return cls(facts["kind"], tuple(facts["shape"]), facts["words"], facts["components"])

    def _weights(self, value: torch.Tensor) -> torch.Tensor:
        """Return (sample, word): TF-IDF with logarithmic counts, of length one."""
        ids = value.long()
        place = torch.searchsorted(self.word, ids).clamp_max(max(0, len(self.word) - 1))
        known = self.word[place] == ids if len(self.word) else torch.zeros_like(ids, dtype=torch.bool)
        counts = torch.zeros(len(ids), max(1, len(self.word)), device=ids.device)
        counts.scatter_add_(1, torch.where(known, place, 0), known.float())
        weights = counts[:, : len(self.word)].log1p() * self.idf
        return nn.functional.normalize(weights, dim=1)

    def _leading(self, sample: torch.Tensor, number: int) -> torch.Tensor:
        from scipy.sparse import csr_matrix, vstack
        from sklearn.decomposition import TruncatedSVD

        weights = vstack([csr_matrix(self._weights(part).numpy()) for part in sample.split(_ROWS)])
        return torch.from_numpy(TruncatedSVD(number, random_state=0).fit(weights).components_.T)


def kind_of(sample: torch.Tensor) -> str:
    """Return which columns fit samples (sample, *shape): ids are of words, 3 axes of bytes are a picture.

    Grey bytes may be a picture of sound, too, and get the columns of both.
    """
    axes = sample.ndim - 1
    if axes == 1:
        return "words" if sample.dtype in (torch.int32, torch.int64) else "vector"
    if axes == 3 and sample.dtype == torch.uint8:
        return "grey" if sample.shape[1] == 1 else "picture"
    if axes == 3:
        return "spectrogram"
    return {2: "series", 4: "frames"}[axes]


def vector(value: torch.Tensor) -> torch.Tensor:
    """(sample, number) -> itself."""
    return value


def series(value: torch.Tensor) -> torch.Tensor:
    """(sample, channel, step) -> statistics of each channel over the steps that were measured."""
    measured = value.isfinite()
    number = measured.sum(dim=2)
    none = number == 0
    filled = torch.where(measured, value, 0.0)
    mean = filled.sum(dim=2) / number.clamp_min(1)
    centred = torch.where(measured, value - mean[:, :, None], 0.0)
    deviation = (centred.square().sum(dim=2) / number.clamp_min(1)).sqrt()
    step = torch.arange(value.shape[2], device=value.device, dtype=value.dtype)
    time = torch.where(measured, step, 0.0)
    centred_time = torch.where(measured, step - (time.sum(dim=2) / number.clamp_min(1))[:, :, None], 0.0)
    slope = (centred * centred_time).sum(dim=2) / centred_time.square().sum(dim=2).clamp_min(1e-9)
    both = measured[:, :, 1:] & measured[:, :, :-1]
    change = torch.where(both, value[:, :, 1:] - value[:, :, :-1], 0.0).abs().sum(dim=2) / both.sum(dim=2).clamp_min(1)
    ordered = torch.where(measured, value, torch.inf).sort(dim=2).values
    ranks = [((number - 1).clamp_min(0) * level).round().long() for level in _LEVELS]
    quantiles = [ordered.gather(2, rank[:, :, None]).squeeze(2) for rank in ranks]
    first = filled.gather(2, measured.float().argmax(dim=2, keepdim=True)).squeeze(2)
    last_step = value.shape[2] - 1 - measured.flip(2).float().argmax(dim=2, keepdim=True)
    last = filled.gather(2, last_step).squeeze(2)
    columns = [mean, deviation, slope, change, first, last, last - first, *quantiles, *_spectrum(centred)]
    statistics = torch.stack([torch.where(none, torch.nan, column) for column in columns], dim=2)
    return torch.cat([number[:, :, None].float(), statistics], dim=2).flatten(1)


def picture(value: torch.Tensor) -> torch.Tensor:
    """(sample, channel, height, width) -> a coarse grid of each channel, and oriented gradients of their mean."""
    return torch.cat([_grid(value, _GRID_PX, _GRID_PX), _oriented_gradients(value.mean(dim=1))], dim=1)


def spectrogram(value: torch.Tensor) -> torch.Tensor:
    """(sample, channel, band, frame) -> mean, deviation and maximum of each band, and a coarse grid."""
    bands = nn.functional.adaptive_avg_pool2d(value, (min(_NUM_BANDS, value.shape[2]), value.shape[3]))
    statistics = [bands.mean(dim=3), bands.std(dim=3, correction=0), bands.amax(dim=3)]
    return torch.cat([*(part.flatten(1) for part in statistics), _grid(value, _NUM_BANDS // 2, _NUM_FRAMES)], dim=1)


def grey(value: torch.Tensor) -> torch.Tensor:
    """(sample, 1, height, width) -> the columns of a picture and those of a spectrogram."""
    return torch.cat([picture(value), spectrogram(value)], dim=1)


def frames(value: torch.Tensor) -> torch.Tensor:
    """(sample, frame, channel, height, width) -> the mean picture's columns, and a coarse grid of what changes."""
    change = value.std(dim=1, correction=0)
    return torch.cat([picture(value.mean(dim=1)), _grid(change, _GRID_PX, _GRID_PX)], dim=1)


COLUMNS: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = {
    function.__name__: function for function in (vector, series, picture, spectrogram, grey, frames)
}


def _grid(value: torch.Tensor, height: int, width: int) -> torch.Tensor:
    size = (min(height, value.shape[2]), min(width, value.shape[3]))
    return nn.functional.adaptive_avg_pool2d(value, size).flatten(1)


def _oriented_gradients(grey: torch.Tensor) -> torch.Tensor:
    """(sample, height, width) -> histograms of edge directions, of cells of equal size; each of length one or less."""
    across = (
        nn.functional.pad(grey[:, :, 2:] - grey[:, :, :-2], (1, 1)) if grey.shape[2] > 2 else torch.zeros_like(grey)
    )
    down = nn.functional.pad(grey[:, 2:] - grey[:, :-2], (0, 0, 1, 1)) if grey.shape[1] > 2 else torch.zeros_like(grey)
    direction = torch.atan2(down, across).remainder(torch.pi) * (_NUM_ORIENTATIONS / torch.pi)
    strength = torch.hypot(across, down)
    share = direction - direction.floor()
    lower = direction.floor().long() % _NUM_ORIENTATIONS
    votes = grey.new_zeros(len(grey), _NUM_ORIENTATIONS, *grey.shape[1:])
    votes.scatter_add_(1, lower[:, None], (strength * (1 - share))[:, None])
    votes.scatter_add_(1, ((lower + 1) % _NUM_ORIENTATIONS)[:, None], (strength * share)[:, None])
    height, width = (min(_MAX_CELLS, max(1, side // 2)) for side in grey.shape[1:])
    histograms = nn.functional.adaptive_avg_pool2d(votes, (height, width))
    energy = histograms.square().sum(dim=1, keepdim=True)
    nearby = nn.functional.avg_pool2d(energy, 3, 1, 1)
    return (histograms / (nearby + 1e-6 + 1e-4 * energy.mean(dim=(2, 3), keepdim=True)).sqrt()).flatten(1)


def _spectrum(centred: torch.Tensor) -> list[torch.Tensor]:
    """(sample, channel, step) -> log power in octave bands; nothing of a short series."""
    if centred.shape[2] < _LONG:
        return []
    power = torch.fft.rfft(centred, dim=2).abs().square()
    edges = [0, 1]
    while edges[-1] < power.shape[2]:
        edges.append(min(power.shape[2], max(edges[-1] + 1, round(edges[-1] * 2**0.5))))
    return [power[:, :, low:high].mean(dim=2).add(1e-9).log() for low, high in pairwise(edges)]


def _vocabulary(sample: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the ids of the words that most texts have, ascending, and their inverse document frequency; 0 is none."""
    ordered = sample.long().sort(dim=1).values
    is_new = torch.cat([torch.ones_like(ordered[:, :1]), ordered[:, 1:] != ordered[:, :-1]], dim=1).bool()
    texts = torch.bincount(ordered[is_new & (ordered > 0)])
    word = texts.argsort(descending=True, stable=True)[:_MAX_WORDS]
    word = word[texts[word] >= _MIN_TEXTS].sort().values
    return word, ((1 + len(sample)) / (1 + texts[word].float())).log() + 1
