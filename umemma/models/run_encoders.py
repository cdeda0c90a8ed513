"""Running each modality's encoder on the samples that have it, for one batch or a whole split.

A missing modality never enters its encoder: it does not change batch statistics, and costs no computation. Whole splits
are encoded in blocks (`umemma.models.blocks`): a sample's features are the same bytes in any company. Ranks that train
together take turns at the blocks, and each gets all features.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol, TypeVar

import torch

from umemma.data.batch import Batch
from umemma.models.blocks import Aligned, blocks, in_blocks, rows_at_once
from umemma.models.device import Device
from umemma.models.unimodal import AnyEncoder


class Module(Protocol):
    """What has a mode: training or not."""

    training: bool

    def train(self, mode: bool = True, /) -> object:
        """Set the mode."""
        ...


class Part(Module, Protocol):
    """The module of one modality in a model, whatever it is: an encoder, or fixed columns for a classical model."""

    dim: int

    def __call__(self, value: torch.Tensor, /) -> torch.Tensor:
        """(batch, *shape) -> (batch, dim)."""
        ...


AnyPart = TypeVar("AnyPart", bound=Part)


def encode(encoders: Mapping[str, AnyPart], batch: Batch) -> dict[str, torch.Tensor]:
    """Return {modality: (batch, dim)}; rows of a missing modality are zero."""
    return {
        name: _encoded(encoder, batch.values[name], batch.present[:, m])
        for m, (name, encoder) in enumerate(encoders.items())
    }


@torch.no_grad()
def encode_split(encoders: Mapping[str, AnyPart], data: Batch, *, device: Device) -> dict[str, torch.Tensor]:
    """Return {modality: (sample, dim)} float32 on the CPU, with the encoders in eval mode; missing rows are zero."""
    features = {}
    for m, (name, encoder) in enumerate(encoders.items()):
        with in_eval_mode(encoder):
            features[name] = _split(encoder, data.values[name], data.present[:, m], device)
    return features


def encode_in_use(encoder: AnyEncoder, value: torch.Tensor) -> torch.Tensor:
    """Encode in eval mode, whatever mode the encoder is in: no batch statistics are updated, no dropout."""
    with in_eval_mode(encoder):
        return encoder(value) if torch.is_grad_enabled() else in_blocks(encoder, value)


@contextmanager
def in_eval_mode(module: Module) -> Iterator[None]:
    """Put a module in eval mode, and back. One that is in it stays as it is: setting the modes costs .4 ms a request served."""
    was_training = module.training
    if was_training:
        module.train(False)
    try:
        yield
    finally:
        if was_training:
            module.train(True)


def _split(encoder: Part, value: torch.Tensor, present: torch.Tensor, device: Device) -> torch.Tensor:
    """Return (sample, dim); the values may be mapped from disk, and are read block by block."""
    rows = present.nonzero().squeeze(1)
    encoded = torch.zeros(len(value), encoder.dim)
    ranks = device.ranks
    for index, count in ranks.own(blocks(len(rows), rows_at_once(encoder, device.torch_device))):
        with device.autocast(), Aligned():
            part = encoder(value.index_select(0, rows[index]).to(device.torch_device))
        encoded[rows[index[:count]]] = part[:count].float().cpu()
    return encoded if ranks.number == 1 else ranks.summed(encoded.to(device.torch_device)).cpu()


def _encoded(encoder: Part, value: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
    if present.all():
        return encoder(value)
    encoded = torch.zeros(len(value), encoder.dim, device=value.device)
    rows = present.nonzero().squeeze(1)
    return encoded.index_copy(0, rows, encoder(value[rows])) if len(rows) else encoded
