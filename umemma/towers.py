"""A tower: one modality's encoder with a uni-modal head of its own, and the file it is kept in."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import nn

from umemma import metrics, parameters, weights


class Encoder(nn.Module):
    """A modality's encoder with the scaling of its input, so that whoever holds it can feed decoded media.

    (batch, *shape) of any real type -> (batch, dim) float32. `settings` are those of `encoder` in params.yaml.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, modality: str, shape: Sequence[int], settings: parameters.Settings) -> None:
        super().__init__()
        self.modality, self.shape, self.settings = modality, tuple(shape), dict(settings)
        module = import_module(f"umemma.encoders.{settings['name']}")
        self.body: nn.Module = parameters.call(module.build, settings, f"dataset.modalities.{modality}.encoder", shape)
        if len(shape) == 3:
            self.body.to(memory_format=torch.channels_last)
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("std", torch.ones(()))
        with torch.no_grad():
            self.dim = self.body.eval()(torch.zeros(1, *shape)).shape[1]
        self.body.train()

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        """Scale by the training set's mean and standard deviation, then encode."""
        scaled = (value.float() - self.mean) / self.std
        if scaled.ndim == 4:
            scaled = scaled.contiguous(memory_format=torch.channels_last)
        return self.body(scaled).float()

    def facts(self) -> dict[str, Any]:
        """Return what it takes to build this encoder again."""
        return {"modality": self.modality, "shape": list(self.shape), "settings": self.settings}

    def fit_scale(self, sample: torch.Tensor) -> None:
        """Take mean and standard deviation from media of the training set, (sample, *shape)."""
        self.mean.copy_(sample.float().mean())
        self.std.copy_(sample.float().std().clamp_min(1e-6))


class Tower(nn.Module):
    """Encoder and linear head; `temperature` (a scalar, 1 until fitted on validation data) calibrates the logits.

    `samples_seen` counts what it was trained on, each epoch anew.
    """

    temperature: torch.Tensor
    samples_seen = 0

    def __init__(self, encoder: Encoder, num_classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.dim, num_classes)
        self.register_buffer("temperature", torch.ones(()))

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        """(batch, *shape) -> logits (batch, class)."""
        return self.answer(self.encoder(value))

    def answer(self, features: torch.Tensor) -> torch.Tensor:
        """(batch, dim) -> calibrated logits (batch, class)."""
        return self.head(features) / self.temperature

    def calibrated_head(self) -> nn.Linear:
        """Return a copy of the head that has the temperature in its weights."""
        head = nn.Linear(self.head.in_features, self.head.out_features)
        with torch.no_grad():
            head.weight.copy_(self.head.weight / self.temperature)
            head.bias.copy_(self.head.bias / self.temperature)
        return head

    def fit_temperature(self, features: torch.Tensor, label: torch.Tensor) -> None:
        """Fit the temperature to held-out samples: Guo et al. 2017, one scalar by cross-entropy."""
        with torch.no_grad():
            logits = self.head(features).double()
        log_temperature = torch.zeros((), dtype=torch.float64, requires_grad=True)
        search = torch.optim.LBFGS([log_temperature], max_iter=50, line_search_fn="strong_wolfe")

        def loss() -> torch.Tensor:
            search.zero_grad()
            value = metrics.loss(logits / log_temperature.exp(), label)
            value.backward()
            return value

        search.step(loss)
        self.temperature.copy_(log_temperature.detach().exp())


def save(tower: Tower, path: Path) -> None:
    """Write the tower to one file."""
    weights.write(path, tower.state_dict(), {"num_classes": tower.head.out_features, "samples_seen": tower.samples_seen,
                                             **tower.encoder.facts()})


def load(path: Path) -> Tower:
    """Read a tower, ready to answer. Raises DataError where the file holds none."""
    state, facts = weights.read(path)
    tower = Tower(Encoder(facts["modality"], facts["shape"], facts["settings"]), facts["num_classes"])
    tower.load_state_dict(state)
    tower.samples_seen = facts["samples_seen"]
    return tower.eval()
