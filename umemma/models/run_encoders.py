"""Running each modality's encoder on the samples that have it, for one batch or a whole split.

A missing modality never enters its encoder: it does not change batch statistics, and costs no computation.
"""

from collections.abc import Mapping
from typing import Protocol, TypeVar

import torch

from umemma.data.batch import Batch
from umemma.models.device import Device
from umemma.models.unimodal import AnyEncoder


class Part(Protocol):
    """The module of one modality in a model, whatever it is: an encoder, or fixed columns for a classical model."""

    dim: int
    training: bool

    def __call__(self, value: torch.Tensor, /) -> torch.Tensor:
        """(batch, *shape) -> (batch, dim)."""
        ...

    def train(self, mode: bool = True, /) -> object:
        """Set the mode."""
        ...


AnyPart = TypeVar("AnyPart", bound=Part)


def encode(encoders: Mapping[str, AnyPart], batch: Batch) -> dict[str, torch.Tensor]:
    """Return {modality: (batch, dim)}; rows of a missing modality are zero."""
    return {
        name: _encoded(encoder, batch.values[name], batch.present[:, m])
        for m, (name, encoder) in enumerate(encoders.items())
    }


@torch.no_grad()
def encode_split(
    encoders: Mapping[str, AnyPart], data: Batch, *, batch_size: int, device: Device
) -> dict[str, torch.Tensor]:
    """Return {modality: (sample, dim)} float32 on the CPU, with the encoders in eval mode."""
    modes = {name: encoder.training for name, encoder in encoders.items()}
    for encoder in encoders.values():
        encoder.train(False)
    parts: list[dict[str, torch.Tensor]] = []
    for start in range(0, len(data), batch_size):
        with device.autocast():
            part = encode(encoders, data.rows(slice(start, start + batch_size)).to(device.torch_device))
        parts.append({name: value.float().cpu() for name, value in part.items()})
    for name, encoder in encoders.items():
        encoder.train(modes[name])
    return {name: torch.cat([part[name] for part in parts]) for name in encoders}


def encode_in_use(encoder: AnyEncoder, value: torch.Tensor) -> torch.Tensor:
    """Encode in eval mode, whatever mode the encoder is in: no batch statistics are updated, no dropout."""
    was_training = encoder.training
    encoder.eval()
    encoded = encoder(value)
    encoder.train(was_training)
    return encoded


def _encoded(encoder: Part, value: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
    if present.all():
        return encoder(value)
    encoded = torch.zeros(len(value), encoder.dim, device=value.device)
    rows = present.nonzero().squeeze(1)
    return encoded.index_copy(0, rows, encoder(value[rows])) if len(rows) else encoded
