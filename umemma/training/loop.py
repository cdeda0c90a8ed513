"""The training loop, shared by towers and fusion.

AdamW; length and learning rate are the schedule's. The model of the best evaluation is kept, by cross-entropy on
validation data: never on test data, and never by accuracy, which on a hundred samples cannot tell two epochs apart. The
order of samples is drawn from (seed, epoch), their missing modalities from (seed, epoch, key). A training that was
killed goes on where it was (resume.py).

A profiler sees the phases of a step by name (`umemma.profiling.phases`).
"""

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from itertools import islice
from pathlib import Path

import torch
from torch import nn
from torch.autograd.profiler import record_function
from tqdm import tqdm

from umemma.data.batch import Batch
from umemma.errors import TrainingError, some
from umemma.metrics import objective
from umemma.models.device import Device
from umemma.models.divided import divided, sum_gradients
from umemma.training import resume
from umemma.training.average import Average, state
from umemma.training.resume import Position
from umemma.training.schedule import Schedule

Curve = list[dict[str, float]]
CRITERION = "val_cross_entropy"
_LINES = 5  # printed for a training


def train(
    model: nn.Module,
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
    offset: Callable[[Batch], torch.Tensor] | None = None,
    target: Callable[[Batch], torch.Tensor] | None = None,
) -> Curve:
    """Train `groups` of (parameters, learning rate) of `model` so that `forward(batch)` gives logits (batch, class).

    `present(batch, epoch)` returns what is left of each batch, on the CPU; `augment(batch, step)` changes its values where
    they are; `log_weight` (class,) weights classes, and `target(batch)` stands in for labels, see
    `umemma.metrics.objective.loss`. Returns a row per evaluation: epoch, step,
    samples seen, mean training loss, and what `validate()` returns, which includes `val_cross_entropy`. At the end the
    model has the weights of the row `kept`.
    """
    optimiser = torch.optim.AdamW(
        [{"params": list(parameters), "lr": lr} for parameters, lr in groups], weight_decay=schedule.weight_decay
    )
    data, steps = _near(data, device), schedule.num_steps(len(data))
    rates = schedule.rates(optimiser, [lr for _, lr in groups], len(data))
    average = Average(model) if schedule.stops_early else None
    log_weight = None if log_weight is None else log_weight.to(device.torch_device)
    training = resume.training(model, optimiser=optimiser, rates=rates, average=average)
    done, curve, losses, best, is_over = training.restored() or Position(0, [], [], state(model))
    if is_over:
        return curve
    progress = _left(data, schedule.batches(len(data), seed), done, steps, name, is_watched=device.ranks.is_first)
    for step, (epoch, rows) in enumerate(progress, start=done + 1):
        training.keep(Position(step - 1, curve, losses, best))
        with record_function("data"):
            batch = data.rows(rows)
            shift = offset(batch).to(device.torch_device) if offset else 0.0
            batch = batch.with_present(present(batch, epoch)).to(device.torch_device)
            batch = augment(batch, step) if augment else batch
        with record_function("forward"):
            with device.autocast(), divided(model, device.ranks):
                logits = forward(batch).float() + shift
            soft = target(batch) if target else None
            loss = objective.loss(logits, batch.label, schedule.label_smoothing, log_weight, soft)
        with record_function("backward"):
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            sum_gradients(model, device.ranks)
        with record_function("optimiser"):
            optimiser.step()
            if average:
                average.update()
            if step < steps:
                rates.step()
        losses.append(loss.detach())
        if not schedule.is_evaluated(step, len(data)):
            continue
        train_loss = torch.stack(losses).mean().item()
        if not math.isfinite(train_loss):
            raise _diverged(
                name, step, losses, data, schedule.batches(len(data), seed), curve=curve, kept_in=training.file
            )
        losses.clear()
        with record_function("validation"), average.in_place() if average else nullcontext():
            cost = {"epoch": epoch + 1, "step": step, "samples_seen": step * len(rows), "train_loss": train_loss}
            curve.append(_rounded(cost | device.ranks.agreed(validate())))
            if kept(curve) is curve[-1]:
                best = state(model)
        is_last = step == steps or schedule.is_exhausted(step, int(kept(curve)["step"]))
        if is_last or step * _LINES // steps > int(curve[-2]["step"] if len(curve) > 1 else 0) * _LINES // steps:
            _say(name, curve[-1])
        if is_last:
            break
    progress.close()
    training.end(step, curve, best)
    return curve


def kept(curve: Curve) -> dict[str, float]:
    """Return the row of the evaluation whose model was kept: the first of the smallest validation cross-entropy."""
    return min(curve, key=lambda row: row[CRITERION])


def _left(
    data: Batch, batches: Iterator[tuple[int, torch.Tensor]], done: int, steps: int, name: str, *, is_watched: bool
) -> "tqdm[tuple[int, torch.Tensor]]":
    """Return the batches after the first `done`, behind a bar where somebody may watch and there is a terminal."""
    left = _foretold(data, islice(batches, done, None))
    return tqdm(left, name, steps, disable=None if is_watched else True, mininterval=0.5, initial=done)


def _foretold(data: Batch, batches: Iterator[tuple[int, torch.Tensor]]) -> Iterator[tuple[int, torch.Tensor]]:
    """Yield the batches, (epoch, row numbers); while one is trained on, the rows of the next are read from disk."""
    batch = next(batches, None)
    while batch is not None:
        following = next(batches, None)
        if following is not None:
            data.will_need(following[1])
        yield batch
        batch = following


def _near(data: Batch, device: Device) -> Batch:
    """Return the data with its values on a GPU that has room for them: each step then moves row numbers alone."""
    if not device.has_room(sum(value.nbytes for value in data.values.values())):
        return data
    return data.with_values({name: value.to(device.torch_device) for name, value in data.values.items()})


def _rounded(row: dict[str, float]) -> dict[str, float]:
    return {key: round(value, 6) if isinstance(value, float) else value for key, value in row.items()}


def _diverged(
    name: str,
    step: int,
    losses: Sequence[torch.Tensor],
    data: Batch,
    batches: Iterator[tuple[int, torch.Tensor]],
    *,
    curve: Curve,
    kept_in: Path | None,
) -> TrainingError:
    """Return the error of a training that diverged within `losses`, those of the last steps; `batches` are all of it."""
    first = step - len(losses) + next(number for number, loss in enumerate(losses, 1) if not loss.isfinite())
    _, rows = next(islice(batches, first - 1, None))
    before = f"all was well at the evaluation of step {curve[-1]['step']:g}" if curve else "it was not evaluated before"
    where = f", and until then it is kept in {kept_in}" if kept_in else ""
    return TrainingError(
        f"{name}: the loss is NaN or infinite at step {first}, on rows {some(map(str, rows.tolist()))} of what it is trained "
        f"on; {before}{where}. Lower the learning rate",
        tuple(data.key[rows].tolist()),
    )


def _say(name: str, row: dict[str, float]) -> None:
    tqdm.write(f"{name}: " + "  ".join(f"{key} {value:.5g}" for key, value in row.items()), sys.stdout)
    sys.stdout.flush()
