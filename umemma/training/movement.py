"""How far training moved each part of a model from where it began.

That training towers further does no better than freezing them says little if they hardly moved.
"""

import torch
from torch import nn

from umemma.training.average import State, state


class Movement:
    """Remembers the weights of a model that are to be trained, as they are now."""

    def __init__(self, model: nn.Module) -> None:
        trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
        self._start = {name: value.cpu() for name, value in state(model).items() if name in trained}

    def shares(self, model: nn.Module) -> dict[str, float]:
        """Return {part: distance} of its weights, as a share of their norm at the start or now, whichever is larger.

        A part is `encoders.image`, `head`, `substitute`, ... One that began at zero, or has nothing left of what it was, has
        moved by about 1.
        """
        now = state(model)
        parts: dict[str, list[str]] = {}
        for name in self._start:
            parts.setdefault(".".join(name.split(".")[: 1 + name.startswith("encoders.")]), []).append(name)
        return {part: round(_share(_flat(self._start, names), _flat(now, names)), 6) for part, names in parts.items()}


def _flat(weights: State, names: list[str]) -> torch.Tensor:
    return torch.cat([weights[name].double().flatten().cpu() for name in names])


def _share(start: torch.Tensor, now: torch.Tensor) -> float:
    norm = max(start.norm().item(), now.norm().item())
    return (now - start).norm().item() / norm if norm else 0.0
