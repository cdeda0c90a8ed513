"""What every training of a run starts from: its samples, and the device."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch

from umemma.data.batch import Batch
from umemma.metrics.objective import log_prior
from umemma.models.device import Device
from umemma.training.settings import Compute


@dataclass(frozen=True, kw_only=True)
class Samples:
    """`media`: the samples of each split as arrays, or as the features of a frozen backbone."""

    media: Mapping[str, Batch]
    compute: Compute
    num_classes: int
    seed: int

    @cached_property
    def device(self) -> Device:
        """Where models run, set up for this process."""
        return self.compute.set_up()

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names in order."""
        return next(iter(self.media.values())).modalities

    @property
    def log_prior(self) -> torch.Tensor:
        """Return (class,): log shares of the training set."""
        return log_prior(self.media["train"].label, self.num_classes)
