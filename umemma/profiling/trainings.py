"""A few steps of a training on the run's data, and what the whole of it takes at that rate.

The samples are the run's own, the first of each split; steps have the size that they have in the run. What is measured
is one epoch of them, so the running average of weights that `auto` keeps is not in it.
"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import torch

from umemma.data.batch import Batch
from umemma.metrics import objective
from umemma.models.device import Device
from umemma.models.run_encoders import encode_split
from umemma.prediction.predict import predict
from umemma.profiling.phases import STEP, timed
from umemma.profiling.work import Work, count
from umemma.settings import Auto, Settings
from umemma.training import unimodal_fit
from umemma.training.arms import ARMS
from umemma.training.context import TrainingContext
from umemma.training.fit import fit
from umemma.training.loop import Curve
from umemma.training.schedule import Schedule
from umemma.training.settings import ArmName, Compute, Pretrain

_STEPS, _ROWS = 12, 1_024  # measured; rows of each other split
_WARM_UP = 2  # steps: the first ones choose their kernels


@dataclass(frozen=True)
class Profile:
    """Seconds of a whole training by part, and its work, by what a few steps took."""

    parts: Mapping[str, float]
    work: Work

    def report(self, machine: Mapping[str, Any], device: Device, *, imports: float, writing: float) -> dict[str, Any]:
        """Return all figures by name, with the seconds before and after the training itself."""
        parts = {"import": imports, **self.parts, "writing": writing}
        seconds, floor = sum(parts.values()), self.work.floor_seconds(machine, device)
        return {
            "seconds": round(seconds, 3),
            "floor_seconds": round(floor, 3),
            "share": round(floor / seconds, 4),
            "data_share_of_step": round(parts["data"] / sum(parts[name] for name in STEP), 4),
            "flops": self.work.flops,
            "bytes": self.work.num_bytes,
            "parts": {name: round(value, 3) for name, value in parts.items()},
        }


def of_tower(
    data: Mapping[str, Batch],
    encoder: Settings,
    pretrain: Pretrain,
    compute: Compute,
    *,
    epochs: float | Auto,
    num_classes: int,
    seed: int,
    augmentation: Settings,
) -> Profile:
    """Return the profile of a tower's training; `data` {split: Batch} has its modality alone."""
    device = compute.set_up()
    data = {split: unimodal_fit.with_the_modality(batch) for split, batch in data.items()}
    length = _Length.of(Schedule(epochs, pretrain.batch_size, pretrain.weight_decay), data)
    settings = pretrain.model_copy(update={"batch_size": length.batch})

    def trained(steps: int) -> unimodal_fit.TrainedTower:
        return unimodal_fit.fit(
            length.few(data, steps),
            encoder,
            settings,
            compute,
            epochs=1.0,
            num_classes=num_classes,
            seed=seed,
            augmentation=augmentation,
        )

    trained(_WARM_UP)
    result, seconds = timed(lambda: trained(_STEPS))
    tower, few = result.tower.to(device.torch_device), length.few(data, 1)
    (name,) = few["train"].modalities
    step = _work_of_step(tower.train(), lambda batch: tower(batch.values[name]), few["train"], device)
    evaluation = count(lambda: encode_split({name: tower.encoder}, few["val"], device=device)) * (1 / len(few["val"]))
    num_encoded = sum(len(batch) for batch in data.values())
    measured = sum(len(batch) for batch in length.few(data, _STEPS).values())
    parts = length.whole(seconds, result.curve, len(few["val"]))
    parts["encoding"] = seconds["encoding"] / measured * num_encoded
    return Profile(parts, step * length.steps + evaluation * (length.validated + num_encoded))


def of_fusion(arm: ArmName, context: TrainingContext) -> Profile | None:
    """Return the profile of an arm's training, towers excluded; None if it is not trained step by step."""
    if ARMS[arm].fusion not in ("late", "early") or ARMS[arm].trains == "nothing":
        return None
    scratch, on_features = ARMS[arm].trains == "all from scratch", ARMS[arm].trains == "head"
    epochs = context.scratch_epochs if scratch else context.fuse.epochs
    settings = context.pretrain if scratch else context.fuse
    data = context.features if on_features else context.media
    length = _Length.of(Schedule(epochs, settings.batch_size, settings.weight_decay), data)
    towers = {name: deepcopy(tower) for name, tower in context.towers.items()}
    for tower in towers.values():
        tower.samples_seen = 0  # so that an arm from scratch trains for one epoch too

    def of(steps: int) -> TrainingContext:
        return replace(
            context,
            towers=towers,
            media=length.few(context.media, steps),
            features=length.few(context.features, steps),
            fuse=context.fuse.model_copy(update={"epochs": 1.0, "batch_size": length.batch}),
            pretrain=context.pretrain.model_copy(update={"batch_size": length.batch}),
        )

    fit(arm, of(_WARM_UP))
    few, device = of(_STEPS), context.device
    trained, seconds = timed(lambda: fit(arm, few))
    model: Any = trained.model.to(device.torch_device).train()
    sample = few.features if on_features else few.media
    forward = (lambda batch: model.fuse(batch.values, batch.present, batch.key)) if on_features else model
    step = _work_of_step(model, forward, sample["train"].rows(slice(0, length.batch)), device)
    val = sample["val"]
    features = val.values if on_features else None
    evaluation = count(
        lambda: predict(model, val, context.log_prior, group=val.key, device=device, features=features)
    ) * (1 / len(val))
    parts = length.whole(seconds, trained.curve, len(val))
    return Profile(parts, step * length.steps + evaluation * length.validated)


@dataclass(frozen=True)
class _Length:
    """Of a whole training: steps, samples in each, and samples that are validated in all."""

    steps: int
    batch: int
    validated: int

    @classmethod
    def of(cls, schedule: Schedule, data: Mapping[str, Batch]) -> "_Length":
        """Return the length of a training by this schedule; for `auto` the most."""
        number = len(data["train"])
        steps = schedule.num_steps(number)
        evaluations = sum(schedule.is_evaluated(step, number) for step in range(1, steps + 1))
        return cls(steps, schedule.batch(number), evaluations * len(data["val"]))

    def few(self, data: Mapping[str, Batch], steps: int) -> dict[str, Batch]:
        """Return the first samples of each split, of `train` enough for so many steps."""
        return {
            split: batch.rows(slice(0, steps * self.batch if split == "train" else _ROWS))
            for split, batch in data.items()
        }

    def whole(self, seconds: Mapping[str, float], curve: Curve, num_validated: int) -> dict[str, float]:
        """Return the parts of the whole training from those of the one with this curve, of one evaluation."""
        return {
            "set-up": seconds["rest"],
            **{name: seconds[name] / curve[-1]["step"] * self.steps for name in STEP},
            "validation": seconds["validation"] / num_validated * self.validated,
            "encoding": 0.0,
        }


def _work_of_step(
    model: torch.nn.Module, forward: Callable[[Batch], torch.Tensor], batch: Batch, device: Device
) -> Work:
    """Return the work of a forward and a backward pass."""

    def step() -> None:
        on_device = batch.to(device.torch_device)
        with device.autocast():
            logits = forward(on_device).float()
        objective.loss(logits, on_device.label, 0.0, None).backward()

    model.zero_grad()
    return count(step)
