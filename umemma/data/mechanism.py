"""Why modalities go missing: mechanisms under which the chance depends on nothing, on what is seen, on the value, on the class.

    P(R_m = 0 | sample) = sigmoid(a_m + slope * s_m),

where s_m is a standardised score of the sample and a_m the one number that makes the mean over the training samples the
rate asked for. What the score is tells the mechanisms apart:

- mcar       nothing: missing completely at random;
- mar        the mean value of the first modality that every training sample has, and which is never hidden: what decides
             is seen;
- mnar       the mean value of the modality itself: what decides is missing;
- by_class   the number of the class, of several labels how many there are: presence then tells the label.

Every score is made from decoded arrays, so that towers, heads and tests of a run hide the same modalities.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from umemma.data.batch import Batch
from umemma.errors import ParameterError

MECHANISMS = ("mcar", "mar", "mnar", "by_class")
_HALVINGS, _WIDEST = 60, 60.0
_ROWS_AT_ONCE = 1_000


@dataclass(frozen=True)
class Mechanism:
    """A mechanism, fitted to training samples; all tensors (modality,) float64. `rates` are those of the training samples."""

    name: str
    slope: float
    anchor: int | None
    centre: torch.Tensor
    scale: torch.Tensor
    intercept: torch.Tensor

    @classmethod
    def fit(cls, name: str, train: Batch, rates: Sequence[float], slope: float) -> "Mechanism":
        """Return the mechanism that hides each modality at its rate from the training samples that have it.

        Raises ParameterError for `mar`, if no modality is there in every training sample.
        """
        anchor = None
        if name == "mar":
            whole = train.present.all(dim=0).nonzero().flatten().tolist()
            if not whole:
                raise ParameterError(
                    "protocol `mar` lets presence depend on a modality that every training sample has, and there is none; "
                    "take mcar, mnar or by_class"
                )
            anchor = int(whole[0])
        score = SCORES[name](train, anchor)
        rows = [score[train.present[:, m], m] for m in range(score.shape[1])]
        centre = torch.stack([row.mean() if len(row) else torch.zeros((), dtype=torch.float64) for row in rows])
        spread = torch.stack([row.std() if len(row) > 1 else torch.zeros((), dtype=torch.float64) for row in rows])
        scale = torch.where(spread > 0, spread, 1.0)
        asked = [0.0 if m == anchor else rate for m, rate in enumerate(rates)]
        intercept = torch.stack(
            [_intercept(slope * (row - centre[m]) / scale[m], asked[m]) for m, row in enumerate(rows)]
        )
        return cls(name, slope, anchor, centre, scale, intercept)

    def chances(self, data: Batch) -> torch.Tensor:
        """Return (sample, modality) float64: how likely each is hidden from the sample. Only modalities that are there count.

        A sample that lacks the modality which decides has the chance of the average score.
        """
        score = (SCORES[self.name](data, self.anchor) - self.centre) / self.scale
        if self.anchor is not None:
            score = torch.where(data.present[:, [self.anchor]], score, 0.0)
        return (self.intercept + self.slope * score).sigmoid()


def summarised(data: Batch) -> Batch:
    """Return the same samples with the mean of every value in its place: mechanisms of it are those of the data, in less time."""
    return data.with_values({name: _means(value)[:, None] for name, value in data.values.items()})


def _intercept(along: torch.Tensor, rate: float) -> torch.Tensor:
    """Return a, for which the mean of sigmoid(a + `along` (sample,)) is the rate; infinite for rates of 0 and 1."""
    if rate in (0, 1) or not len(along):
        return torch.tensor(torch.inf if rate == 1 else -torch.inf, dtype=torch.float64)
    low, high = -_WIDEST, _WIDEST
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if (middle + along).sigmoid().mean() < rate else (low, middle)
    return torch.tensor((low + high) / 2, dtype=torch.float64)


def _of_nothing(data: Batch, anchor: int | None) -> torch.Tensor:
    return torch.zeros(data.present.shape, dtype=torch.float64)


def _of_anchor(data: Batch, anchor: int | None) -> torch.Tensor:
    assert anchor is not None, "`fit` has chosen one"
    name = data.modalities[anchor]
    return _means(data.values[name])[:, None].expand(-1, len(data.modalities))


def _of_itself(data: Batch, anchor: int | None) -> torch.Tensor:
    means = torch.stack([_means(value) for value in data.values.values()], dim=1)
    return torch.where(data.present, means, 0.0)


def _of_class(data: Batch, anchor: int | None) -> torch.Tensor:
    number = data.label.double() if data.label.ndim == 1 else data.label.double().sum(dim=1)
    return number[:, None].expand(-1, len(data.modalities))


def _means(value: torch.Tensor) -> torch.Tensor:
    """Return (sample,) float64: the mean of what was measured; 0 where nothing was."""
    parts = [part.flatten(1).double().nanmean(dim=1) for part in value.split(_ROWS_AT_ONCE)]
    return torch.cat(parts).nan_to_num(0.0) if parts else torch.zeros(0, dtype=torch.float64)


SCORES: Mapping[str, Callable[[Batch, int | None], torch.Tensor]] = {
    "mcar": _of_nothing,
    "mar": _of_anchor,
    "mnar": _of_itself,
    "by_class": _of_class,
}
