"""The training loop, shared by towers and fusion.

AdamW with a one-cycle learning rate (Smith and Topin 2018); the last model is kept: there is no model selection, so
none on test data either. The order of samples is drawn from (seed, epoch), their missing modalities from (seed, epoch,
key).
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from tqdm import tqdm

from umemma.data.batch import Batch
from umemma.errors import TrainingError
from umemma.metrics import objective
from umemma.models.device import Device

Curve = list[dict[str, float]]


@dataclass(frozen=True)
class Schedule:
    """Length and regularisation of training; `epochs` may be fractional. `num_steps` and samples seen follow from it."""

    epochs: float
    batch_size: int
    weight_decay: float
    label_smoothing: float = 0.0

    def num_steps(self, num_samples: int) -> int:
        """Return the optimiser steps for a training set of this size, at least one."""
        return max(1, round(self.epochs * self._steps_per_epoch(num_samples)))

    def batches(self, num_samples: int, seed: int) -> Iterator[tuple[int, torch.Tensor]]:
        """Yield (epoch, rows) for each step; an incomplete last batch is dropped, and the next epoch reshuffles."""
        left, epoch, size = self.num_steps(num_samples), 0, min(self.batch_size, num_samples)
        while left:
            order = torch.randperm(num_samples, generator=torch.Generator().manual_seed(seed * 1_000_003 + epoch))
            for start in range(0, min(left, self._steps_per_epoch(num_samples)) * size, size):
                yield epoch, order[start : start + size]
                left -= 1
            epoch += 1

    def _steps_per_epoch(self, num_samples: int) -> int:
        return max(1, num_samples // self.batch_size)


def train(
    forward: Callable[[Batch], torch.Tensor],
    groups: Sequence[tuple[Sequence[nn.Parameter], float]],
    data: Batch,
    *,
    schedule: Schedule,
    seed: int,
    device: Device,
    present: Callable[[Batch, int], torch.Tensor],
    validate: Callable[[], dict[str, float]],
    name: str,
    augment: Callable[[Batch, int], Batch] | None = None,
    log_weight: torch.Tensor | None = None,
) -> Curve:
    """Train `groups` of (parameters, learning rate) so that `forward(batch)` gives logits (batch, class).

    `present(batch, epoch)` returns what is left of each batch, `augment(batch, step)` changes its values, on the CPU;
    `log_weight` (class,) weights classes, see `umemma.metrics.objective.loss`. Returns a row per epoch: epoch, step,
    samples seen, mean training loss, and the result of `validate()` after it.
    """
    optimiser = torch.optim.AdamW(
        [{"params": list(parameters), "lr": lr} for parameters, lr in groups], weight_decay=schedule.weight_decay
    )
    steps = schedule.num_steps(len(data))
    total = max(steps, 2)
    warm_up = max(0.2, 1.5 / total)  # the scheduler divides by `warm_up * total - 1`
    rates = torch.optim.lr_scheduler.OneCycleLR(optimiser, [lr for _, lr in groups], total, pct_start=warm_up)
    log_weight = None if log_weight is None else log_weight.to(device.torch_device)
    curve: Curve = []
    losses: list[torch.Tensor] = []
    batches = list(schedule.batches(len(data), seed))
    progress = tqdm(batches, name, disable=None, mininterval=0.5)
    for step, (epoch, rows) in enumerate(progress, start=1):
        batch = data.rows(rows)
        batch = batch.with_present(present(batch, epoch))
        batch = (augment(batch, step) if augment else batch).to(device.torch_device)
        with device.autocast():
            logits = forward(batch).float()
        loss = objective.loss(logits, batch.label, schedule.label_smoothing, log_weight)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        if step < steps:
            rates.step()
        losses.append(loss.detach())
        if step == steps or batches[step][0] != epoch:
            if not torch.stack(losses).isfinite().all():
                raise TrainingError(f"{name}: the loss is NaN or infinite by step {step}; lower the learning rate")
            row = {
                "epoch": epoch + 1,
                "step": step,
                "samples_seen": step * len(rows),
                "train_loss": torch.stack(losses).mean().item(),
            } | validate()
            curve.append({key: round(value, 6) if isinstance(value, float) else value for key, value in row.items()})
            losses.clear()
            if step == steps or (epoch + 1) % max(1, round(schedule.epochs / 5)) == 0:
                summary = "  ".join(f"{key} {value:.5g}" for key, value in curve[-1].items())
                tqdm.write(f"{name}: {summary}", sys.stdout)
                sys.stdout.flush()
    return curve
