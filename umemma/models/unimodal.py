"""A tower: one modality's encoder with a unimodal head, and the file it is saved in."""

import inspect
import math
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import nn

from umemma.errors import SettingError
from umemma.metrics.calibration import temperature
from umemma.models import pretrained, safetensors
from umemma.models.backbone import Backbone
from umemma.models.given_encoder import GivenEncoder
from umemma.settings import Settings, call, module_name

_MAX_VALUES = 10**8  # used to estimate a scale: 400 MB


class Encoder(nn.Module):
    """A modality's encoder with the scaling of its input, so that callers can pass decoded media.

    (batch, *shape) of any real type -> (batch, dim) float32. `settings` are those of `encoder` in params.yaml, whose
    `name` is `module` or `module:variant`. The module that its `build` returns may have

    - `scaling`: `whole` (the default), by the mean and standard deviation of the whole training set; `channel`, by
      those of each entry of the first axis; `none`, for ids, and for pixels where pre-trained weights fix the scale.
    - `value_range`: the smallest and largest decoded value it accepts.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, modality: str, shape: Sequence[int], settings: Settings) -> None:
        super().__init__()
        self.modality, self.shape, self.settings = modality, tuple(shape), dict(settings)
        self._where = f"dataset.modalities.{modality}.encoder"
        module = import_module(f"umemma.models.encoders.{module_name(settings['name'])}")
        self.body: nn.Module = call(module.build, settings, self._where, shape)
        self.scaling = getattr(self.body, "scaling", "whole")
        size = (shape[0], *[1] * (len(shape) - 1)) if self.scaling == "channel" else ()
        if len(shape) == 3:
            self.body.to(memory_format=torch.channels_last)
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("std", torch.ones(size))
        self.dim = _num_features(self.body, shape, self._where)

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        """Scale, then encode."""
        return self.body(self.scaled(value)).float()

    def scaled(self, value: torch.Tensor) -> torch.Tensor:
        """Return decoded media as the encoder's module expects them."""
        if self.scaling != "none":
            value = (value.float() - self.mean) / self.std
        return value.contiguous(memory_format=torch.channels_last) if value.ndim == 4 else value

    def parameter_groups(self, lr: float) -> list[tuple[list[nn.Parameter], float]]:
        """Return the trainable parameters of the encoder, in groups, each with its learning rate."""
        body = self.body
        groups = body.lr_factors() if isinstance(body, Backbone) else [(list(body.parameters()), 1.0)]
        trained = [([p for p in parameters if p.requires_grad], lr * factor) for parameters, factor in groups]
        return [(parameters, rate) for parameters, rate in trained if parameters]

    def facts(self) -> dict[str, Any]:
        """Return the facts needed to rebuild this encoder before its weights are loaded: see `blank`."""
        return {
            "modality": self.modality,
            "shape": list(self.shape),
            "settings": self.settings,
            "architecture": dict(getattr(self.body, "architecture", {})),
        }

    @classmethod
    def blank(cls, facts: Mapping[str, Any]) -> "Encoder":
        """Build the encoder that `facts` describe, without the file, folder or hub its weights originally came from."""
        settings = dict(facts["settings"])
        build = import_module(f"umemma.models.encoders.{module_name(settings['name'])}").build
        build_parameters = inspect.signature(build).parameters
        if "weights" in build_parameters and settings.get("weights", build_parameters["weights"].default) is not None:
            settings["weights"] = pretrained.LATER
        encoder = cls(facts["modality"], facts["shape"], settings | facts["architecture"])
        encoder.settings = dict(facts["settings"])
        return encoder

    def fresh(self) -> "Encoder":
        """Return the encoder as it was before training, with the pre-trained weights it started from, if any.

        The input scaling is the current one.
        """
        fresh = Encoder(self.modality, self.shape, self.settings)
        fresh.mean.copy_(self.mean)
        fresh.std.copy_(self.std)
        return fresh

    def fit_scale(self, sample: torch.Tensor) -> None:
        """Estimate the input scaling from media of the training set, (sample, *shape).

        A constant channel is not divided: it carries no information here, and other values of it must not explode.
        Raises SettingError if a value lies outside the range that the encoder accepts.
        """
        sample = sample[: max(1, _MAX_VALUES // max(1, sample[:1].numel()))]
        self._check_range(sample)
        if self.scaling == "whole":
            self.mean.copy_(sample.float().mean())
            self.std.copy_(sample.float().std().clamp_min(1e-6))
        elif self.scaling == "channel":
            each = sample.float().transpose(0, 1).flatten(1)
            std = each.std(dim=1, correction=0)
            self.mean.copy_(each.mean(dim=1).reshape(self.mean.shape))
            self.std.copy_(torch.where(std > 1e-6, std, 1.0).reshape(self.std.shape))

    def _check_range(self, sample: torch.Tensor) -> None:
        least, largest = getattr(self.body, "value_range", None) or (-math.inf, math.inf)
        low, high = sample.min().item(), sample.max().item()
        if not least <= low <= high <= largest:
            raise SettingError(
                f"{self._where}: {self.settings['name']} takes values from "
                f"{least:g} to {largest:g}, but decoded are {low:g} to {high:g}: its decoder does "
                "not fit it"
            )


def _num_features(body: nn.Module, shape: Sequence[int], where: str) -> int:
    """Return the output size for one sample of zeros; raises SettingError if the encoder cannot take this shape."""
    mode = body.training
    try:
        with torch.no_grad():
            return body.eval()(torch.zeros(1, *shape)).shape[1]
    except (RuntimeError, AssertionError, IndexError) as error:
        raise SettingError(
            f"{where}: decoded media have shape {tuple(shape)}, which the encoder cannot take: {error}"
        ) from error
    finally:
        body.train(mode)


AnyEncoder = Encoder | GivenEncoder


def build(modality: str, sample: torch.Tensor, encoder: Settings | nn.Module) -> AnyEncoder:
    """Return an encoder for values like `sample` (sample, *shape): a plug-in by its settings, or a wrapped module."""
    if isinstance(encoder, nn.Module):
        return GivenEncoder(modality, sample, encoder)
    return Encoder(modality, sample.shape[1:], encoder)


class Tower(nn.Module):
    """Encoder and linear head; `temperature` (a scalar, 1 until fitted on validation data) calibrates the logits.

    `samples_seen` counts training samples, once per epoch.
    """

    temperature: torch.Tensor
    samples_seen = 0

    def __init__(self, encoder: AnyEncoder, num_classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.dim, num_classes)
        self.register_buffer("temperature", torch.ones(()))

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        """(batch, *shape) -> logits (batch, class)."""
        return self.answer(self.encoder(value))

    def parameter_groups(self, lr: float) -> list[tuple[list[nn.Parameter], float]]:
        """Return the trainable parameters of the tower, in groups, each with its learning rate."""
        return [(list(self.head.parameters()), lr), *self.encoder.parameter_groups(lr)]

    def answer(self, features: torch.Tensor) -> torch.Tensor:
        """(batch, dim) -> calibrated logits (batch, class)."""
        return self.head(features) / self.temperature

    def calibrated_head(self) -> nn.Linear:
        """Return a copy of the head with the temperature folded into its weights."""
        head = nn.Linear(self.head.in_features, self.head.out_features)
        with torch.no_grad():
            head.weight.copy_(self.head.weight / self.temperature)
            head.bias.copy_(self.head.bias / self.temperature)
        return head

    def fit_temperature(self, features: torch.Tensor, label: torch.Tensor) -> None:
        """Fit the temperature on held-out samples: one scalar, by cross-entropy (Guo et al. 2017)."""
        with torch.no_grad():
            self.temperature.copy_(temperature(self.head(features), label))


def save(tower: Tower, path: Path) -> None:
    """Write the tower to one file."""
    safetensors.write(
        path,
        tower.state_dict(),
        {"num_classes": tower.head.out_features, "samples_seen": tower.samples_seen, **tower.encoder.facts()},
    )


def load(path: Path) -> Tower:
    """Load a tower in eval mode. Raises DamagedFile if the file holds none."""
    state, facts = safetensors.read(path)
    tower = Tower(Encoder.blank(facts), facts["num_classes"])
    tower.load_state_dict(state)
    tower.samples_seen = facts["samples_seen"]
    return tower.eval()
