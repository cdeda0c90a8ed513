"""Going on with a training that was killed, from what it has kept: weights, optimiser, schedule, generators, position.

`kept_in(folder)` holds for every training inside it, in their order; the loop asks here by itself, since no layer
between a stage and its trainings has a say in it. Every `SECONDS` one file is written for each training; a training that
is over keeps its weights and curve. So a kill costs that much work at most, a short run writes nothing, and the result is
the same to the bit. The folder's name must follow from all that determines the result.

Frozen weights are left out: they are what they were. All ranks that train one model have the same to keep, so the first
writes and every one reads, and any number of ranks can go on.
"""

import io
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from torch import nn

from umemma.errors import DataError
from umemma.files import written_whole
from umemma.locks import obtained
from umemma.models.ranks import Ranks

SECONDS = 15.0
DAYS = 7  # that a killed run's trainings wait for its next run
Weights = Mapping[str, torch.Tensor]
ALONE = Ranks()


class Position(NamedTuple):
    """How far a training is: steps done, a row an evaluation, the losses since the last one, the best weights so far."""

    step: int
    curve: list[dict[str, float]]
    losses: list[torch.Tensor]
    best: Weights
    is_over: bool = False


class Stateful(Protocol):
    """An optimiser, a schedule, an average of weights."""

    def state_dict(self) -> dict[str, Any]:
        """Return all that changes."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> object:
        """Take that back."""
        ...


@dataclass
class _Folder:
    """Where the trainings of a stage are kept; `over` has those that ended since the last writing."""

    path: Path
    ranks: Ranks
    number: int = 0
    written: float = field(default_factory=time.monotonic)
    over: dict[int, dict[str, Any]] = field(default_factory=dict)

    def is_due(self) -> bool:
        return time.monotonic() - self.written >= SECONDS

    def write(self, running: Mapping[int, dict[str, Any]]) -> None:
        for number, state in {**self.over, **running}.items():
            content = io.BytesIO()  # on a full disk, `torch.save` to a path raises a RuntimeError
            torch.save(state, content)
            try:
                with written_whole(self.path / f"{number}.pt") as temporary:
                    temporary.write_bytes(content.getbuffer())
            except (OSError, DataError) as error:  # the result needs none of it
                print(f"note: this training is not kept, and starts anew if it is killed: {error}", flush=True)
        self.over.clear()
        self.written = time.monotonic()


_folder: ContextVar[_Folder | None] = ContextVar("_folder", default=None)


@contextmanager
def kept_in(folder: Path, ranks: Ranks = ALONE) -> Iterator[None]:
    """Keep the trainings inside in `folder`, and go on with those that are there; it is removed at the end.

    Folders beside it in which nothing was written for `DAYS` are removed, too. A second process that trains the same at
    the same time keeps nothing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        if not ranks.agreed(ranks.is_first and obtained(lock)):
            yield
            return
        if ranks.is_first:
            _remove_old(folder)
        token = _folder.set(_Folder(folder, ranks))
        try:
            yield
        finally:
            _folder.reset(token)
        ranks.agreed(None)  # the first removes nothing that another has still to read
        if ranks.is_first:
            _remove(folder)


@dataclass(frozen=True)
class Training:
    """One training of `model`, and what changes with it."""

    model: nn.Module
    parts: Mapping[str, Stateful]
    _folder: _Folder | None
    _number: int

    @property
    def file(self) -> Path | None:
        """Where it is kept, if it is."""
        path = self._folder.path / f"{self._number}.pt" if self._folder else None
        return path if path and path.is_file() else None

    def restored(self) -> Position | None:
        """Put everything back as it was kept; return how far it was, or None if nothing was kept."""
        if (file := self.file) is None:
            return None
        content = torch.load(file, map_location="cpu", weights_only=True)
        whole = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        self.model.load_state_dict(whole | content["model"])
        for name, state in content["parts"].items():
            self.parts[name].load_state_dict(state)
        torch.set_rng_state(content["generator"])
        if content["generator_of_gpu"] is not None:
            torch.cuda.set_rng_state(content["generator_of_gpu"])  # of this rank's GPU: all draw the same
        step, curve, losses, best, is_over = content["position"]
        device = next(self.model.parameters()).device
        return Position(step, curve, [loss.to(device) for loss in losses], whole | best, is_over)

    def keep(self, position: Position) -> None:
        """Keep what is needed to go on, if it is time to and no loss is NaN or infinite; of a training that is over, once."""
        if self._folder is None or not self._folder.ranks.is_first:
            return
        if position.is_over:
            self._folder.over[self._number] = self._content(position, {})
        if self._folder.is_due() and all(loss.isfinite() for loss in position.losses):
            self._folder.write({} if position.is_over else {self._number: self._content(position, self.parts)})

    def end(self, step: int, curve: list[dict[str, float]], best: Weights) -> None:
        """Give the model its best weights, and keep these: it need not be trained again."""
        self.model.load_state_dict(best)
        self.keep(Position(step, curve, [], {}, is_over=True))

    def _content(self, position: Position, parts: Mapping[str, Stateful]) -> dict[str, Any]:
        frozen = {name for name, value in self.model.named_parameters() if not value.requires_grad}

        def trained(weights: Weights) -> dict[str, torch.Tensor]:
            return {name: value.detach().clone() for name, value in weights.items() if name not in frozen}

        return {
            "model": trained(self.model.state_dict()),
            "parts": {name: part.state_dict() for name, part in parts.items()},
            "position": tuple(position._replace(best=trained(position.best))),
            "generator": torch.get_rng_state(),
            "generator_of_gpu": torch.cuda.get_rng_state() if torch.cuda.is_initialized() else None,
        }


def training(model: nn.Module, **parts: Stateful | None) -> Training:
    """Return the next training of the stage; one that keeps nothing outside of `kept_in`."""
    folder = _folder.get()
    if folder:
        folder.number += 1
    there = {name: part for name, part in parts.items() if part is not None}
    return Training(model, there, folder, folder.number if folder else 0)


def _remove_old(folder: Path) -> None:
    for other in folder.parent.iterdir():
        if other != folder and other.is_dir() and time.time() - other.stat().st_mtime > DAYS * 86_400:
            _remove(other)


def _remove(folder: Path) -> None:
    """Remove a folder and its lock, unless another process has just done so."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.with_name(f"{folder.name}.lock").unlink(missing_ok=True)
