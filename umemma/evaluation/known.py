"""What is known of each set of modalities: which model finds most in it, and how much that is.

A model of T is a model of every larger S, too: one that ignores the rest. So the candidates for S are all models under all
T inside S, the prior included, and no set is known to hold less than a smaller one. The best is chosen on validation
data and measured on test data, so that the selection does not bias its result.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from umemma.evaluation import information
from umemma.evaluation.bootstrap import Resamples, interval
from umemma.evaluation.comparison import Model
from umemma.metrics import classification
from umemma.missingness import Pattern, in_order, is_within, pattern_name


@dataclass(frozen=True)
class Known:
    """What is known of a set on test samples that have it, by the best model and what it `uses`; (1 + replicate, variable), nats.

    The variable is the label; with several labels a sample there is one for each, and each has its own bound. `certain`:
    how often the class that the training labels make likeliest is right; `clusters`: of the samples, as `bootstrap.interval` takes it.
    """

    model: Model
    uses: Pattern
    entropy: torch.Tensor
    cross_entropy: torch.Tensor
    certain: torch.Tensor
    num_outcomes: int
    clusters: int

    @property
    def lower_bound(self) -> torch.Tensor:
        """The bound on I(X_S; Y), with several labels on the sum of I(X_S; Y_k); (1 + replicate,)."""
        return information.lower_bound(self.entropy, self.cross_entropy).sum(dim=1)

    @property
    def residual(self) -> torch.Tensor:
        """The bound on H(Y|X_S): the best known model's cross-entropy, or H(Y) if that is lower."""
        return torch.minimum(self.cross_entropy, self.entropy)

    @property
    def floor(self) -> torch.Tensor:
        """The accuracy that `residual` guarantees, (1 + replicate,); the mean over variables."""
        least = information.feder_merhav_floor(self.residual, self.num_outcomes)
        return torch.maximum(least, self.certain).mean(dim=1)

    @property
    def ceiling(self) -> torch.Tensor:
        """The accuracy that `residual` allows, (1 + replicate,); the mean over variables."""
        return information.fano_ceiling(self.residual, self.num_outcomes).mean(dim=1)

    @property
    def is_informative(self) -> bool:
        """Is the interval of `lower_bound` above zero? Only then are shares of it defined."""
        low = interval(self.lower_bound, self.clusters)["low"]
        return low is not None and low > 0

    @property
    def used(self) -> str:
        """The names of the modalities that the best known model uses; `nothing` if it is the prior."""
        return pattern_name(self.uses, self.model.splits["test"].modalities) or "nothing"


class Candidates:
    """Models, each under every set that it answers; the first of equals is preferred, and the larger set."""

    def __init__(self, models: Sequence[Model], main: Model, resamples: Resamples) -> None:
        self._models, self._main, self._resamples = models, main, resamples
        val = main.splits["val"]
        self._sets = in_order(val.logits)
        self._val_nll = {model: torch.stack([model.tables["val"].nll[s] for s in self._sets]) for model in models}

    def best(self, pattern: Pattern, rows: torch.Tensor) -> tuple[Model, Pattern]:
        """Return the model with the lowest cross-entropy on the validation samples `rows`, and the part of the set it uses.

        This run's model if there are no such samples.
        """
        inside = [number for number, small in enumerate(self._sets) if is_within(small, pattern)]
        if not rows.any() or not inside:
            return self._main, pattern
        scores = torch.stack([self._val_nll[model][inside][:, rows].mean(dim=1) for model in self._models])
        model, number = divmod(int(scores.argmin()), len(inside))
        return self._models[model], self._sets[inside[number]]

    def has(self, pattern: Pattern) -> torch.Tensor:
        """Return (sample,) bool: which test samples have the whole set?"""
        return self._main.splits["test"].has(pattern)

    def known(self, pattern: Pattern, population: Pattern | None = None) -> Known:
        """Return what is known of a set on the samples that have `population`, by default the set itself, hidden down to it.

        A difference between sets needs one population for both, as samples that have more may be others.
        """
        has = population or pattern
        model, uses = self.best(pattern, self._main.splits["val"].has(has))
        return self.measured(model, uses, self.has(has))

    def measured(self, model: Model, uses: Pattern, rows: torch.Tensor) -> Known:
        """Return what a model that uses a set is known to find on the test samples `rows`."""
        test, table = self._main.splits["test"], self._main.tables["test"]
        outcomes = classification.outcome_counts(test.label, test.num_classes)
        number = self._resamples.sums(torch.ones(len(rows), 1), rows)
        nothing = (False,) * len(test.modalities)
        return Known(
            model,
            uses,
            entropy(outcomes, rows, self._resamples),
            self._resamples.sums(model.tables["test"].nll_by_variable[uses], rows) / number,
            self._resamples.sums(table.is_correct[nothing].double(), rows) / number,
            outcomes.shape[2],
            self._resamples.clusters_of(rows),
        )


def entropy(outcomes: torch.Tensor, rows: torch.Tensor, resamples: Resamples) -> torch.Tensor:
    """Return H of each variable, (1 + replicate, variable), on samples `rows`, from outcomes (sample, variable, outcome).

    Corrected by what the plug-in entropy lacks on average: the same amount in every replicate, as `bootstrap.interval`
    shifts replicates, which lack it twice, to the value.
    """
    plug_in = information.entropy(resamples.sums(outcomes, rows))
    lacks = information.entropy_deficit(resamples.by_cluster(outcomes, rows))
    return (plug_in + lacks).clamp(max=torch.tensor(outcomes.shape[2], dtype=torch.float64).log())
