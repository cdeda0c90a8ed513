"""How long a training is, in steps of how many samples, and when it ends.

A number of epochs is trained to its end, with a one-cycle learning rate (Smith and Topin 2018). `auto` is the recipe for
100 to 10^6 samples. Its end is not known beforehand, so its learning rate cannot follow a curve to that end: it stays
level after a warm-up, weights are averaged over the last steps in place of a decay (see `umemma.training.average`), and
training ends when validation cross-entropy has not improved for a third of the steps so far. Epochs are no measure of
effort: 30 of 400 samples are 90 steps at a batch of 128, and on a table of body sensors (431 samples, 27 classes) such
towers reached half of the accuracy that 1,500 steps of 32 do. So there are at least `MIN_STEPS` between improvements, at
most `MAX_STEPS` or two epochs in all, and the batch grows with the square root of the number of samples.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from umemma.settings import Auto

MIN_STEPS, MAX_STEPS = 400, 3_000
_MIN_EPOCHS = 2
_MIN_BATCH, _MAX_BATCH = 16, 512
_WARM_UP_STEPS = 100
_PATIENCE = 1 / 3  # of the steps so far
_ROUNDS = 100  # evaluations of a training that goes to its end


@dataclass(frozen=True)
class Schedule:
    """Length and regularisation of training; `epochs` may be fractional, or `auto`, as may be `batch_size`.

    Steps, samples seen and evaluations follow from it and the number of training samples.
    """

    epochs: float | Auto
    batch_size: int | Auto
    weight_decay: float
    label_smoothing: float = 0.0

    @property
    def stops_early(self) -> bool:
        """Return whether training may end before its last step."""
        return self.epochs == "auto"

    def batch(self, num_samples: int) -> int:
        """Return the samples per step, at most all: for `auto` the power of two next to their square root."""
        if self.batch_size == "auto":
            power = round(math.log2(max(1, num_samples)) / 2)
            return min(_MAX_BATCH, max(_MIN_BATCH, 2**power), num_samples)
        return min(self.batch_size, num_samples)

    def num_steps(self, num_samples: int) -> int:
        """Return the optimiser steps for a training set of this size, at least one; for `auto` the most."""
        steps_per_epoch = self.steps_per_epoch(num_samples)
        if self.epochs == "auto":
            return max(MAX_STEPS, _MIN_EPOCHS * steps_per_epoch)
        return max(1, round(self.epochs * steps_per_epoch))

    def num_epochs(self, num_samples: int) -> float:
        """Return the length in epochs; for `auto` the most."""
        return self.num_steps(num_samples) / self.steps_per_epoch(num_samples)

    def steps_per_epoch(self, num_samples: int) -> int:
        """Return the steps in which every sample is seen once, but for an incomplete last batch."""
        return max(1, num_samples // self.batch(num_samples))

    def batches(self, num_samples: int, seed: int) -> Iterator[tuple[int, torch.Tensor]]:
        """Yield (epoch, rows) for each step; an incomplete last batch is dropped, and the next epoch reshuffles."""
        left, epoch, size = self.num_steps(num_samples), 0, self.batch(num_samples)
        while left:
            order = torch.randperm(num_samples, generator=torch.Generator().manual_seed(seed * 1_000_003 + epoch))
            for start in range(0, min(left, self.steps_per_epoch(num_samples)) * size, size):
                yield epoch, order[start : start + size]
                left -= 1
            epoch += 1

    def is_evaluated(self, step: int, num_samples: int) -> bool:
        """Return whether the model is evaluated after this step: after each epoch, the last step, and for `auto` evenly.

        An epoch of `auto` may be a few steps, or thousands; it is evaluated 20 to 100 times in all its steps.
        """
        steps = self.num_steps(num_samples)
        interval = self.steps_per_epoch(num_samples)
        if self.epochs == "auto":
            interval = min(max(interval, steps // _ROUNDS), steps // 20)
        return step == steps or step % interval == 0

    def is_exhausted(self, step: int, best_step: int) -> bool:
        """Return whether training ends after `step`, since it has not improved after `best_step`."""
        return self.stops_early and step - best_step >= max(MIN_STEPS, _PATIENCE * step)

    def rates(
        self, optimiser: torch.optim.Optimizer, largest: list[float], num_samples: int
    ) -> torch.optim.lr_scheduler.LRScheduler:
        """Return the learning rate of each step, one for each group of parameters."""
        if self.stops_early:
            return torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: min(1.0, (step + 1) / _WARM_UP_STEPS))
        total = max(self.num_steps(num_samples), 2)
        warm_up = max(0.2, 1.5 / total)  # the scheduler divides by `warm_up * total - 1`
        return torch.optim.lr_scheduler.OneCycleLR(optimiser, largest, total, pct_start=warm_up)
