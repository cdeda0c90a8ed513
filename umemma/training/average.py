"""A running average of a model's weights, which stands in for a learning rate that decays to zero.

Weights under a level learning rate circle around a minimum, and their average lies near it: the exponential average over
the last steps is as good as weights after a decay (Izmailov et al. 2018, arXiv 1803.05407; Morales-Brotons et al. 2024,
arXiv 2411.18704), at any step, so that no end has to be known.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

_STEPS = 100  # over which is averaged
State = Mapping[str, torch.Tensor]


class Average:
    """The average of a model's trained parameters and floating-point buffers; of other state the latest."""

    def __init__(self, model: nn.Module) -> None:
        self._model, self._num_steps = model, 0
        self._state = state(model)
        frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
        self._averaged = [
            name for name, value in self._state.items() if value.is_floating_point() and name not in frozen
        ]

    @torch.no_grad()
    def update(self) -> None:
        """Take in the model's present weights; early on the average is over fewer steps."""
        self._num_steps += 1
        weight = max(1 / _STEPS, 9 / (10 + self._num_steps))
        latest = self._model.state_dict()
        torch._foreach_lerp_(
            [self._state[name] for name in self._averaged], [latest[name] for name in self._averaged], weight
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the average, and over how many steps it is."""
        return {"num_steps": self._num_steps, "state": {name: self._state[name] for name in self._averaged}}

    @torch.no_grad()
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take back what `state_dict` has returned."""
        self._num_steps = state_dict["num_steps"]
        for name, value in state_dict["state"].items():
            self._state[name].copy_(value)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Let the model have the averaged weights inside the context."""
        latest = state(self._model)
        self._model.load_state_dict({**latest, **{name: self._state[name] for name in self._averaged}})
        try:
            yield
        finally:
            self._model.load_state_dict(latest)


def state(model: nn.Module) -> dict[str, torch.Tensor]:
    """Return a copy of the model's parameters and buffers."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}
