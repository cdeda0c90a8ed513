"""A tower: one modality's encoder with a unimodal head, and the file it is saved in."""

import inspect
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from umemma.errors import SettingError
from umemma.metrics.calibration import temperature, tempered
from umemma.models import measured, pretrained, safetensors
from umemma.models.backbone import Backbone
from umemma.models.given_encoder import GivenEncoder
from umemma.models.linear_columns import LinearColumns
from umemma.models.measured import Gaps
from umemma.settings import Settings, call, module_name

_MAX_VALUES = 10**8  # used to estimate a scale: 400 MB
_NO_GAPS = Gaps()


class Encoder(nn.Module):
    """A modality's encoder with the scaling of its input, so that callers can pass decoded media.

    (batch, *shape) of any real type -> (batch, dim) float32. `settings` are those of `encoder` in params.yaml, whose
    `name` is `module` or `module:variant`. The module that its `build` returns may have

    - `scaling`: `channel` (the default of vectors and series), by the mean and standard deviation of each entry of the
      first axis in the training set; `whole` (of all else), by those of all values; `none`, for ids, and for pixels
      where pre-trained weights fix the scale.
    - `value_range`: the smallest and largest decoded value it accepts.
    - `takes_gaps`: its `forward` takes scaled values as they are, NaN included, and no further channels.
    - `num_answers`: its first features are logits, the answer of a tower that needs no head.
    - `rows_at_once`: how many samples it gets in inference (`umemma.models.blocks`).
    - `masks_padding`: its `forward` takes a second argument, (batch, time), true where a series is padded.

    NaN in a vector or series was not measured, and becomes 0 after scaling, the mean of the training set. Where the
    training set has gaps, `gaps`, the module gets further channels: whether each of these was measured, 1 or 0, and for
    series also the time since it last was.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, modality: str, shape: Sequence[int], settings: Settings, gaps: Gaps = _NO_GAPS) -> None:
        super().__init__()
        self.modality, self.shape, self.settings, self.gaps = modality, tuple(shape), dict(settings), gaps
        self._where = f"dataset.modalities.{modality}.encoder"
        module = import_module(f"umemma.models.encoders.{module_name(settings['name'])}")
        body = call(module.build, settings, self._where, shape)
        input_shape = self.shape if getattr(body, "takes_gaps", False) else self._shape_with_presence()
        if input_shape != self.shape:
            body = call(module.build, settings, self._where, input_shape)
        self.body: nn.Module = body
        self.scaling = getattr(self.body, "scaling", "channel" if measured.can_have_gaps(shape) else "whole")
        size = (shape[0], *[1] * (len(shape) - 1)) if self.scaling == "channel" else ()
        if len(shape) == 3:
            self.body.to(memory_format=torch.channels_last)
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("std", torch.ones(size))
        self.dim = _num_features(self.body, input_shape, self._where)

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        """Scale, fill in what was not measured, then encode."""
        return self.body(*self._inputs(value)).float()

    def _inputs(self, value: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return what the module gets: scaled values without NaN, and which steps are padding, if it asks for these."""
        if getattr(self.body, "takes_gaps", False):
            return (self.scaled(value),)
        scaled = self.scaled(value)
        if not measured.can_have_gaps(self.shape) or not value.is_floating_point():
            return (scaled,)
        missing = value.isnan()
        scaled = self._with_presence(scaled.masked_fill(missing, 0.0), missing)
        if self.gaps.has_padding and getattr(self.body, "masks_padding", False):
            return scaled, measured.is_padding(missing)
        return (scaled,)

    @property
    def rows_at_once(self) -> int | None:
        """How many samples the module gets in inference; None: as many as others (`umemma.models.blocks`)."""
        return getattr(self.body, "rows_at_once", None)

    def columns(self, value: torch.Tensor) -> torch.Tensor:
        """Return the columns in which the encoder is linear, if its module is a `LinearColumns`."""
        assert isinstance(self.body, LinearColumns), "only a linear encoder has columns"
        return self.body.columns(*self._inputs(value))

    def scaled(self, value: torch.Tensor) -> torch.Tensor:
        """Return decoded media on the scale that the encoder's module expects; NaN stays NaN."""
        if self.scaling != "none":
            value = (value.float() - self.mean) / self.std
        return value.contiguous(memory_format=torch.channels_last) if value.ndim == 4 else value

    def _shape_with_presence(self) -> tuple[int, ...]:
        """Return the shape of decoded media, with more channels if there are gaps."""
        further = len(self.gaps.channels) * len(self.shape)  # presence, and for series time since
        return (self.shape[0] + further, *self.shape[1:])

    def _with_presence(self, scaled: torch.Tensor, missing: torch.Tensor) -> torch.Tensor:
        if not self.gaps.channels:
            return scaled
        missing = missing[:, list(self.gaps.channels)]
        further = [~missing] if missing.ndim == 2 else [~missing, measured.time_since(missing)]
        return torch.cat([scaled, *(channels.to(scaled.dtype) for channels in further)], dim=1)

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
        } | ({} if self.gaps == _NO_GAPS else {"gaps": asdict(self.gaps)})

    @classmethod
    def blank(cls, facts: Mapping[str, Any]) -> "Encoder":
        """Build the encoder that `facts` describe, without the file, folder or hub its weights originally came from."""
        settings = dict(facts["settings"])
        build = import_module(f"umemma.models.encoders.{module_name(settings['name'])}").build
        build_parameters = inspect.signature(build).parameters
        if "weights" in build_parameters and settings.get("weights", build_parameters["weights"].default) is not None:
            settings["weights"] = pretrained.LATER
        found = facts.get("gaps")
        gaps = Gaps(tuple(found["channels"]), found["has_padding"]) if found else _NO_GAPS
        encoder = cls(facts["modality"], facts["shape"], settings | facts["architecture"], gaps)
        encoder.settings = dict(facts["settings"])
        return encoder

    def fresh(self) -> "Encoder":
        """Return the encoder as it was before training, with the pre-trained weights it started from, if any.

        The input scaling is the current one.
        """
        fresh = Encoder(self.modality, self.shape, self.settings, self.gaps)
        fresh.mean.copy_(self.mean)
        fresh.std.copy_(self.std)
        if isinstance(self.body, LinearColumns):
            fresh.body.load_state_dict(dict(self.body.named_buffers()), strict=False)
        return fresh

    def fit_scale(self, sample: torch.Tensor) -> None:
        """Estimate the input scaling from media of the training set, (sample, *shape).

        Raises SettingError if a value lies outside the range that the encoder accepts, or nothing was measured.
        """
        sample = sample[: max(1, _MAX_VALUES // max(1, sample[:1].numel()))]
        self._check_range(sample)
        if self.scaling == "whole":
            self.mean.copy_(sample.float().mean())
            self.std.copy_(sample.float().std().clamp_min(1e-6))
        elif self.scaling == "channel":
            mean, std = measured.scale(sample)
            self.mean.copy_(mean.reshape(self.mean.shape))
            self.std.copy_(std.reshape(self.std.shape))
        if isinstance(self.body, LinearColumns):
            self.body.fit(*self._inputs(sample))

    def _check_range(self, sample: torch.Tensor) -> None:
        least, largest = getattr(self.body, "value_range", None) or (-math.inf, math.inf)
        if measured.can_have_gaps(self.shape) and sample.is_floating_point():
            sample = sample[~sample.isnan()]
            if not sample.numel():
                raise SettingError(
                    f"{self._where}: nothing of {self.modality} was measured in the training set: all is nan"
                )
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


def same_weights(one: nn.Module, other: nn.Module) -> bool:
    """Return whether the parameters and buffers of two modules are equal, bit for bit."""
    ours, theirs = one.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(
        torch.equal(value.cpu(), theirs[key].cpu()) for key, value in ours.items()
    )


def build(modality: str, sample: torch.Tensor, encoder: Settings | nn.Module) -> AnyEncoder:
    """Return an encoder for training values `sample` (sample, *shape): a plug-in by its settings, or a wrapped module."""
    if isinstance(encoder, nn.Module):
        return GivenEncoder(modality, sample, encoder)
    return Encoder(modality, sample.shape[1:], encoder, measured.gaps(sample))


class Answer(nn.Module):
    """The head of an encoder that answers itself: its first features, calibrated by `scale` and `shift` (class,)."""

    scale: torch.Tensor
    shift: torch.Tensor

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.register_buffer("scale", torch.ones(()))
        self.register_buffer("shift", torch.zeros(out_features))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(batch, dim) -> logits (batch, class)."""
        return features[:, : self.out_features] * self.scale + self.shift


class Tower(nn.Module):
    """Encoder and linear head; `temperature` (a scalar, 1 until fitted on validation data) calibrates the logits.

    It divides what they say beyond `log_prior` (class,), of the training set. `samples_seen` counts training samples,
    once per epoch.
    """

    temperature: torch.Tensor
    log_prior: torch.Tensor
    samples_seen = 0

    def __init__(self, encoder: AnyEncoder, num_classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        kind = Answer if hasattr(encoder.body, "num_answers") else nn.Linear
        self.head = cast(nn.Linear, kind(encoder.dim, num_classes))
        self.register_buffer("temperature", torch.ones(()))
        self.register_buffer("log_prior", torch.zeros(num_classes))

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        """(batch, *shape) -> logits (batch, class)."""
        return self.answer(self.encoder(value))

    def parameter_groups(self, lr: float) -> list[tuple[list[nn.Parameter], float]]:
        """Return the trainable parameters of the tower, in groups, each with its learning rate."""
        return [(list(self.head.parameters()), lr), *self.encoder.parameter_groups(lr)]

    def answer(self, features: torch.Tensor) -> torch.Tensor:
        """(batch, dim) -> calibrated logits (batch, class)."""
        return tempered(self.head(features), self.temperature, self.log_prior)

    def calibrated_head(self, log_prior: torch.Tensor | None = None) -> nn.Linear:
        """Return a copy of the head, calibrated, that answers at the class shares `log_prior` (class,); None: its own.

        A tower sees only samples that have its modality, and so answers at their class shares, p(y | R_m = 1). Where presence
        depends on the label these differ between towers, and whoever joins the towers needs all at the same shares: a product
        that divides each by p(y) has a cross-entropy of 0.676 where 0.515 is possible (tests/test_presence.py).
        """
        shift = torch.zeros_like(self.log_prior) if log_prior is None else log_prior - self.log_prior
        if isinstance(self.head, Answer):
            answer = Answer(self.head.in_features, self.head.out_features)
            answer.scale.copy_(1 / self.temperature)
            answer.shift.copy_(tempered(torch.zeros_like(self.log_prior), self.temperature, self.log_prior) + shift)
            return cast(nn.Linear, answer)
        head = nn.Linear(self.head.in_features, self.head.out_features)
        with torch.no_grad():
            head.weight.copy_(self.head.weight / self.temperature)
            head.bias.copy_(tempered(self.head.bias, self.temperature, self.log_prior) + shift)
        return head

    def fit_temperature(self, features: torch.Tensor, label: torch.Tensor) -> None:
        """Fit the temperature on held-out samples: see `umemma.metrics.calibration`."""
        with torch.no_grad():
            logits = self.head(features)
        self.temperature.copy_(temperature(logits, label, self.log_prior))


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
