"""What all arms of one run have in common: towers, data, settings."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING

import torch

from umemma.data.batch import Batch
from umemma.data.settings import Dataset
from umemma.metrics.classification import log_prior
from umemma.missingness import Pattern
from umemma.models import safetensors, unimodal
from umemma.models.unimodal import Tower
from umemma.settings import Settings
from umemma.training.settings import Compute, Fuse, Pretrain

if TYPE_CHECKING:
    from umemma.data.manifest import Targets


@dataclass(frozen=True)
class TrainingContext:
    """What all arms of one run have in common.

    `media` and `features` hold the same samples of each split: decoded - or as a frozen trunk encodes them - and as the
    towers do. `augment` is of
    the media, {modality: settings}.
    """

    towers: Mapping[str, Tower]
    media: Mapping[str, Batch]
    features: Mapping[str, Batch]
    fuse: Fuse
    pretrain: Pretrain
    compute: Compute
    early: Settings
    num_classes: int
    seed: int
    augment: Mapping[str, Settings] = field(default_factory=dict)

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names in order."""
        return tuple(self.towers)

    @property
    def log_prior(self) -> torch.Tensor:
        """Return (class,): log shares of the training set."""
        return log_prior(self.media["train"].label, self.num_classes)

    @property
    def scratch_epochs(self) -> float:
        """Return how long an arm from scratch sees as many samples, per modality, as the others in two phases."""
        seen = mean(tower.samples_seen for tower in self.towers.values())
        return seen / len(self.media["train"]) + self.fuse.epochs

    def of(self, pattern: Pattern) -> "TrainingContext":
        """Return the same for the modalities of a pattern, and the samples that have them all."""
        names = [name for name, there in zip(self.modalities, pattern, strict=True) if there]

        def part(data: Mapping[str, Batch]) -> dict[str, Batch]:
            found = {split: batch.only(names) for split, batch in data.items()}
            return {
                split: batch if batch.present.all() else batch.rows(batch.present.all(dim=1))
                for split, batch in found.items()
            }

        return replace(
            self,
            towers={name: self.towers[name] for name in names},
            media=part(self.media),
            features=part(self.features),
        )


def load(
    dataset: Dataset,
    targets: "Targets",
    *,
    inputs: Mapping[str, Path],
    towers: Mapping[str, Path],
    fuse: Fuse,
    pretrain: Pretrain,
    compute: Compute,
    seed: int,
) -> TrainingContext:
    """Read the towers with their features, and map the arrays that they were trained on into memory.

    `inputs` and `towers` are folders, in the data set's order of modalities: of decoded arrays or a frozen backbone's
    features, and of towers with their features.
    """
    from umemma.data import arrays  # it reads tables, and a course in memory needs no pandas
    from umemma.data.sample import SPLITS

    names = list(dataset.modalities)
    media = {split: arrays.load(inputs, split, targets) for split in SPLITS}
    kept = {name: safetensors.read(towers[name] / "features.safetensors")[0] for name in names}
    features = {split: batch.with_values({name: kept[name][split] for name in names}) for split, batch in media.items()}
    return TrainingContext(
        {name: unimodal.load(towers[name] / "tower.safetensors") for name in names},
        media,
        features,
        fuse,
        pretrain,
        compute,
        dataset.early,
        len(dataset.classes),
        seed,
        {name: modality.augment for name, modality in dataset.modalities.items()},
    )
