"""What is left of a sample, as a row of a table: a set of modalities, the mean of several, or a missing rate.

A part is a mixture of patterns. Its score is that mixture of their scores; of accuracy, which is linear, this is exactly
the expected accuracy at a missing rate. A modality alone is measured on the samples that have it, and so is the mean
over each alone; everything else on all samples, each with what it has of the set.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from umemma.evaluation.bootstrap import Resamples
from umemma.evaluation.comparison import Model
from umemma.evaluation.scores import SCORES
from umemma.missingness import Pattern, halves, pattern_name, patterns, probability
from umemma.prediction.predictions import Predictions

_MOST_LISTED = 3  # modalities of which every set is a part


@dataclass(frozen=True)
class Part:
    """A name and how much each pattern counts; the weights sum to 1."""

    name: str
    weights: Mapping[Pattern, float]

    @property
    def _is_of_one(self) -> bool:
        return all(sum(pattern) == 1 < len(pattern) for pattern in self.weights)

    def rows(self, test: Predictions) -> torch.Tensor:
        """Return (sample,) bool: the samples that are measured; of several modalities alone those of the rarest."""
        if not self._is_of_one:
            return torch.ones(len(test.label), dtype=torch.bool)
        return min((test.has(pattern) for pattern in self.weights), key=lambda rows: int(rows.sum()))

    def estimate(self, model: Model, metric: str, resamples: Resamples) -> torch.Tensor:
        """Return (1 + replicate,): a score of SCORES."""
        test = model.splits["test"]
        rows = {pattern: test.has(pattern) if self._is_of_one else self.rows(test) for pattern in self.weights}
        scores = [
            weight * SCORES[metric](model, pattern, rows[pattern], resamples)
            for pattern, weight in self.weights.items()
        ]
        return torch.stack(scores).sum(dim=0)


def few(test: Predictions) -> list[Part]:
    """Return everything, each modality alone, and of four or more half of them: the mean over the sets on file."""
    names, num_modalities = test.modalities, len(test.modalities)
    parts = [Part("everything", {(True,) * num_modalities: 1.0})]
    parts += [_whole(pattern, names) for pattern in test.patterns() if sum(pattern) == 1]
    if half := halves(num_modalities):
        title = f"{num_modalities // 2} of {num_modalities}, mean of {len(half)} sets"
        parts.append(Part(title, dict.fromkeys(half, 1 / len(half))))
    return parts


def summaries(test: Predictions) -> list[Part]:
    """Return the parts that every data set has, whatever its modalities: everything, and the mean over each alone."""
    num_modalities = len(test.modalities)
    alone = [tuple(i == j for j in range(num_modalities)) for i in range(num_modalities)]
    return [
        Part("everything", {(True,) * num_modalities: 1.0}),
        Part("one alone", dict.fromkeys(alone, 1 / num_modalities)),
    ]


def listed(test: Predictions) -> list[Part]:
    """Return every set of up to three modalities, the parts of `few` of more."""
    if len(test.modalities) > _MOST_LISTED:
        return few(test)
    return [_whole(pattern, test.modalities) for pattern in test.patterns()]


def at_rates(test: Predictions, rates: Sequence[float]) -> list[Part]:
    """Return a part for each rate at which every modality is missing, independently; for accuracy only.

    None of so many modalities that not every pattern is on file.
    """
    num_modalities = len(test.modalities)
    mixed = [*patterns(num_modalities), (False,) * num_modalities]
    if not test.logits.keys() >= set(mixed):
        return []
    weights = [{one: probability(one, [rate] * num_modalities) for one in mixed} for rate in rates]
    return [
        Part(f"{100 * rate:g} % missing", {one: weight for one, weight in by_pattern.items() if weight})
        for rate, by_pattern in zip(rates, weights, strict=True)
    ]


def _whole(pattern: Pattern, names: Sequence[str]) -> Part:
    return Part(pattern_name(pattern, names), {pattern: 1.0})
