"""Early fusion: one encoder reads all modalities at once, so it can learn interactions between them.

Maps (channel, height, width) are resized to one size and stacked as channels; if any modality is not a map, all are
flattened and concatenated. For each modality an additional channel or value flags whether it is present; a missing
modality is replaced at the input, as there are no per-modality features. Vectors and series are standardised channel by
channel, and what was not measured in them becomes 0, the mean.
"""

import math
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import torch
from torch import nn

from umemma.data.batch import Batch
from umemma.errors import SettingError
from umemma.models import measured, substitutes
from umemma.settings import Settings, call, module_name

_MAX_POOLED_PX = 16  # side to which a map among vectors is pooled before it is flattened


class EarlyFusion(nn.Module):
    """Batch -> logits (batch, class). `settings`: the encoder's, and `size_px`, to which maps are resized."""

    def __init__(
        self,
        shapes: Mapping[str, Sequence[int]],
        settings: Settings,
        num_classes: int,
        *,
        substitute: str,
        rows: substitutes.Rows,
    ) -> None:
        """`rows` {modality: (sample, *shape)} of the training set give scale and stand-ins; `none` takes zeros."""
        super().__init__()
        self.shapes = {name: tuple(shape) for name, shape in shapes.items()}
        self.settings, self.substitute_name = dict(settings), substitute
        encoder_settings = {key: value for key, value in settings.items() if key != "size_px"}
        self.size_px = settings.get("size_px", 32)
        self.are_maps = all(len(shape) == 3 for shape in self.shapes.values())
        self.num_rows = {name: min(len(value), substitutes.NUM_DONORS) for name, value in rows.items()}
        self.scale = nn.ParameterDict(
            {name: nn.Parameter(_scale(value), requires_grad=False) for name, value in rows.items()}
        )
        scaled = {name: self._scaled(name, value) for name, value in rows.items()}
        self.source = substitutes.SOURCES["zeros" if substitute == "none" else substitute](scaled)
        module = import_module(f"umemma.models.encoders.{module_name(settings['name'])}")
        self.body: nn.Module = call(module.build, encoder_settings, "dataset.early", self._stacked_shape())
        if getattr(self.body, "scaling", "whole") == "none":
            raise SettingError(
                f"dataset.early: {settings['name']} takes decoded values as they "
                "are, and early fusion stacks standardised modalities: choose lenet, resnet or mlp"
            )
        with torch.no_grad():
            dim = self.body.eval()(torch.zeros(1, *self._stacked_shape())).shape[1]
        self.body.train()
        self.head = nn.Linear(dim, num_classes)

    def forward(self, batch: Batch) -> torch.Tensor:
        """Fill in missing modalities, stack, encode."""
        scaled = {name: self._scaled(name, value) for name, value in batch.values.items()}
        filled = {}
        for m, (name, value) in enumerate(scaled.items()):
            missing = (~batch.present[:, m]).nonzero().squeeze(1)
            filled[name] = value
            if len(missing):
                stand_in = self.source(name, batch.key[missing]).expand(len(missing), *value.shape[1:])
                hidden = ~batch.present[:, m].reshape(-1, *[1] * (value.ndim - 1))
                filled[name] = value.masked_fill(hidden, 0.0).index_copy(0, missing, stand_in)
        stack = self._maps if self.are_maps else self._vectors
        return self.head(self.body(stack(filled, batch.present)).float())

    def facts(self) -> dict[str, Any]:
        """Return the facts needed to rebuild this model."""
        return {
            "kind": "early",
            "shapes": {name: list(shape) for name, shape in self.shapes.items()},
            "settings": self.settings,
            "substitute": self.substitute_name,
            "num_rows": self.num_rows,
        }

    def _scaled(self, name: str, value: torch.Tensor) -> torch.Tensor:
        mean, std = self.scale[name]
        scaled = (value.float() - mean) / std
        return scaled.masked_fill(scaled.isnan(), 0.0) if measured.can_have_gaps(value.shape[1:]) else scaled

    def _stacked_shape(self) -> tuple[int, ...]:
        if self.are_maps:
            channels = sum(shape[0] + 1 for shape in self.shapes.values())
            return (channels, self.size_px, self.size_px)
        return (sum(math.prod(_pooled(shape)) + 1 for shape in self.shapes.values()),)

    def _maps(self, values: Mapping[str, torch.Tensor], present: torch.Tensor) -> torch.Tensor:
        """Return (batch, channel, size_px, size_px)."""
        side = self.size_px
        layers = [
            nn.functional.interpolate(value, (side, side), mode="bilinear", antialias=True) for value in values.values()
        ]
        flags = present.to(layers[0].dtype)[:, :, None, None].expand(-1, -1, side, side)
        return torch.cat([*layers, flags], dim=1).contiguous(memory_format=torch.channels_last)

    def _vectors(self, values: Mapping[str, torch.Tensor], present: torch.Tensor) -> torch.Tensor:
        """Return (batch, value)."""
        flat = [
            nn.functional.adaptive_avg_pool2d(value, _pooled(value.shape[1:])[-2:])  # type: ignore[arg-type]
            if value.ndim == 4
            else value
            for value in values.values()
        ]
        return torch.cat([*(value.flatten(1) for value in flat), present.to(flat[0].dtype)], dim=1)


def _scale(value: torch.Tensor) -> torch.Tensor:
    """Return mean and standard deviation, (2,), or (2, channel, ...) of a vector or series.

    Integers in a vector, such as ids, have one for all.
    """
    whole = torch.stack([value.float().mean(), value.float().std().clamp_min(1e-6)])
    if not measured.can_have_gaps(value.shape[1:]):
        return whole
    each = torch.stack(measured.scale(value)) if value.is_floating_point() else whole[:, None].expand(2, value.shape[1])
    return each.reshape(2, value.shape[1], *[1] * (value.ndim - 2)).contiguous()


def blank(facts: Mapping[str, Any], num_classes: int) -> EarlyFusion:
    """Build the model that `facts` describe, with weights still to be loaded."""
    rows = {name: torch.zeros(facts["num_rows"][name], *shape) for name, shape in facts["shapes"].items()}
    return EarlyFusion(facts["shapes"], facts["settings"], num_classes, substitute=facts["substitute"], rows=rows)


def _pooled(shape: Sequence[int]) -> tuple[int, ...]:
    if len(shape) != 3:
        return tuple(shape)
    return (shape[0], *(min(side, _MAX_POOLED_PX) for side in shape[1:]))
