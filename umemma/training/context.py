"""The training context shared by all arms of a run: towers, data, settings."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING

import torch

from umemma.data.batch import Batch
from umemma.data.settings import Dataset
from umemma.missingness import Pattern
from umemma.models import safetensors, unimodal
from umemma.models.late_fusion import LateFusion
from umemma.models.unimodal import Tower
from umemma.settings import Settings
from umemma.training.hiding import Hiding, Plan
from umemma.training.samples import Samples
from umemma.training.schedule import Schedule
from umemma.training.settings import Compute, Fuse, Pretrain, missing_rates

if TYPE_CHECKING:
    from umemma.data.manifest import Targets


@dataclass(frozen=True, kw_only=True)
class TrainingContext(Samples):
    """What all arms of a run share.

    `features` hold the same samples as `media`, as the towers' features. `augment` applies to the media, {modality:
    settings}. `is_out_of_fold`: are all towers' answers for training samples by models that were not trained on these, so
    that a head may be fitted to them? `judged`: the patterns that validation answers; None: those of `missingness.panel`.
    `base`: the model that the arm `grown` starts from. `title`: of what is trained, in lines and errors.
    """

    towers: Mapping[str, Tower]
    features: Mapping[str, Batch]
    fuse: Fuse
    pretrain: Pretrain
    early: Settings
    augment: Mapping[str, Settings] = field(default_factory=dict)
    is_out_of_fold: bool = False
    judged: tuple[Pattern, ...] | None = None
    base: LateFusion | None = None
    title: str = "fuse"

    @property
    def scratch_epochs(self) -> float:
        """Return the epochs after which an arm from scratch has seen as many samples per modality as two-phase arms."""
        num_samples = len(self.media["train"])
        seen = mean(tower.samples_seen for tower in self.towers.values())
        return seen / num_samples + Schedule(self.fuse.epochs, self.fuse.batch_size, 0.0).num_epochs(num_samples)

    def hiding(self) -> Hiding:
        """Return how modalities are hidden in training."""
        rates = missing_rates(self.fuse, self.modalities)
        return Hiding(Plan(self.fuse.protocol, rates, self.seed, self.fuse.slope), self.media)

    def of(self, pattern: Pattern) -> "TrainingContext":
        """Return the context of a pattern's modalities, with the samples that have any of them."""
        names = [name for name, is_present in zip(self.modalities, pattern, strict=True) if is_present]

        def part(data: Mapping[str, Batch]) -> dict[str, Batch]:
            return {split: _with(batch.only(names), torch.any) for split, batch in data.items()}

        return replace(
            self,
            towers={name: self.towers[name] for name in names},
            media=part(self.media),
            features=part(self.features),
            judged=None,
        )

    def complete(self) -> "TrainingContext":
        """Return the context with the samples that have everything."""
        media, features = (
            {split: _with(batch, torch.all) for split, batch in data.items()} for data in (self.media, self.features)
        )
        return replace(self, media=media, features=features)


def _with(batch: Batch, how_many: Callable[..., torch.Tensor]) -> Batch:
    """Return the samples that have any or all of the batch's modalities; the batch itself, mapped, where all do."""
    rows = how_many(batch.present, dim=1)
    return batch if rows.all() else batch.rows(rows)


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
    """Read the towers with their features, and memory-map the arrays that they were trained on.

    `inputs` and `towers` are folders by modality, in the data set's order: of arrays or a frozen backbone's features,
    and of towers with their features.
    """
    from umemma.data import arrays  # it imports pandas, which training in memory does not need
    from umemma.data.sample import SPLITS

    names = list(dataset.modalities)
    media = {split: arrays.load(inputs, split, targets) for split in SPLITS}
    read = {name: safetensors.read(towers[name] / "features.safetensors") for name in names}
    by_tower = {name: tensors for name, (tensors, _) in read.items()}
    features = {
        split: batch.with_values({name: by_tower[name][split] for name in names}) for split, batch in media.items()
    }
    return TrainingContext(
        media=media,
        compute=compute,
        num_classes=len(dataset.classes),
        seed=seed,
        towers={name: unimodal.load(towers[name] / "tower.safetensors") for name in names},
        features=features,
        fuse=fuse,
        pretrain=pretrain,
        early=dataset.early,
        augment={name: modality.augment for name, modality in dataset.modalities.items()},
        is_out_of_fold=all(facts.get("is_out_of_fold", False) for _, facts in read.values()),
    )
