"""Substitutes for a missing modality: in place of its features, or of its input before the encoder.

A source makes stand-ins; `AtFeature` and `AtInput` insert them where `present` is False. A missing row is overwritten,
never multiplied by zero, so that its values, even NaN, cannot reach the logits or a gradient. Stand-ins for an input
pass through the encoder in eval mode, so that they do not change batch statistics. In training random stand-ins are
redrawn every time; in eval mode they depend on the sample's key alone. An input may hold NaN, which was not measured:
means and deviations are over what was, and a stand-in is NaN where nothing ever was; the encoder fills it in.
"""

import math
from collections.abc import Callable, Mapping

import torch
from torch import nn

from umemma.errors import SettingError
from umemma.missingness import uniform
from umemma.models import measured

Features = dict[str, torch.Tensor]
Encoders = Mapping[str, Callable[[torch.Tensor], torch.Tensor]]
Rows = Mapping[str, torch.Tensor]
NUM_DONORS = 256


class Constant(nn.Module):
    """One stand-in per modality, fixed or learned."""

    def __init__(self, values: Mapping[str, torch.Tensor], *, learned: bool) -> None:
        super().__init__()
        self.values = nn.ParameterDict(
            {name: nn.Parameter(value.float().clone(), requires_grad=learned) for name, value in values.items()}
        )

    def forward(self, name: str, key: torch.Tensor) -> torch.Tensor:
        """Return (1, *shape): the same for every sample."""
        return self.values[name][None]


class Noise(nn.Module):
    """Independent normal values with each element's mean and standard deviation in the training set."""

    def __init__(self, rows: Rows) -> None:
        super().__init__()
        self.means = nn.ParameterDict(
            {name: nn.Parameter(value, requires_grad=False) for name, value in _means(rows).items()}
        )
        self.deviations = nn.ParameterDict(
            {
                name: nn.Parameter(measured.std(value.float(), dim=0), requires_grad=False)
                for name, value in rows.items()
            }
        )

    def forward(self, name: str, key: torch.Tensor) -> torch.Tensor:
        """Return (sample, *shape)."""
        mean = self.means[name]
        if self.training:
            normal = torch.randn(len(key), *mean.shape, device=mean.device)
        else:
            normal = _normal(key, mean.numel(), name).reshape(len(key), *mean.shape).to(mean)
        return mean + self.deviations[name] * normal


class Donor(nn.Module):
    """The values of a random training sample, out of `NUM_DONORS` that are saved with the weights."""

    def __init__(self, rows: Rows) -> None:
        super().__init__()
        self.donors = nn.ParameterDict(
            {
                name: nn.Parameter(value[:NUM_DONORS].float().clone(), requires_grad=False)
                for name, value in rows.items()
            }
        )

    def forward(self, name: str, key: torch.Tensor) -> torch.Tensor:
        """Return (sample, *shape)."""
        donors = self.donors[name]
        if self.training:
            chosen = torch.randint(len(donors), (len(key),), device=donors.device)
        else:
            chosen = (uniform(key, 1, _stream(name))[:, 0] * len(donors)).long().to(donors.device)
        return donors[chosen]


class Masked(nn.Module):
    """`none`: no stand-in; the head is told to ignore the modality."""

    def forward(
        self, features: Mapping[str, torch.Tensor], present: torch.Tensor, key: torch.Tensor, encoders: Encoders
    ) -> tuple[Features, torch.Tensor]:
        """Return features with missing rows zero, and `present` itself."""
        filled = {
            name: value.masked_fill(~present[:, m, None], 0.0) for m, (name, value) in enumerate(features.items())
        }
        return filled, present


class AtFeature(nn.Module):
    """Stand-ins are features, (batch, dim); the head sees every modality."""

    def __init__(self, source: nn.Module) -> None:
        super().__init__()
        self.source = source

    def forward(
        self, features: Mapping[str, torch.Tensor], present: torch.Tensor, key: torch.Tensor, encoders: Encoders
    ) -> tuple[Features, torch.Tensor]:
        """Return features with missing rows filled, and all modalities as visible."""
        return _filled(features, present, key, self.source), torch.ones_like(present)


class AtInput(AtFeature):
    """Stand-ins are inputs, (batch, *shape), and are encoded; the head sees every modality."""

    def forward(
        self, features: Mapping[str, torch.Tensor], present: torch.Tensor, key: torch.Tensor, encoders: Encoders
    ) -> tuple[Features, torch.Tensor]:
        """Return features with missing rows filled, and all modalities as visible."""
        filled = _filled(features, present, key, lambda name, keys: encoders[name](self.source(name, keys)))
        return filled, torch.ones_like(present)


# Each takes rows of the training set, {modality: (sample, *shape)}: features or inputs.
SOURCES: dict[str, Callable[[Rows], nn.Module]] = {
    "zeros": lambda rows: Constant({name: torch.zeros_like(value[0]) for name, value in rows.items()}, learned=False),
    "train_mean": lambda rows: Constant(_means(rows), learned=False),
    "noise": Noise,
    "donor": Donor,
    "learned": lambda rows: Constant(_means(rows), learned=True),
}
SUBSTITUTES = ("none", *SOURCES)
_AVERAGES = ("train_mean", "noise", "learned")


def build(name: str, at: str, rows: Rows) -> nn.Module:
    """Return the substitute `name` at "feature" or "input", fitted to `rows` of the training set there.

    Raises SettingError for an average of inputs if some of them are word ids.
    """
    if name == "none":
        return Masked()
    ids = [modality for modality, value in rows.items() if value.dtype in (torch.int32, torch.int64)]
    if at == "input" and ids and name in _AVERAGES:
        raise SettingError(
            f"fuse.substitute: {name} averages over samples, and the input of {', '.join(ids)} is ids "
            "of words, which have no average; choose zeros, donor or none, or substitute_at: feature"
        )
    return {"feature": AtFeature, "input": AtInput}[at](SOURCES[name](rows))


def _means(rows: Rows) -> dict[str, torch.Tensor]:
    return {name: value.float().nanmean(dim=0) for name, value in rows.items()}


def _filled(
    features: Mapping[str, torch.Tensor],
    present: torch.Tensor,
    key: torch.Tensor,
    stand_in: Callable[[str, torch.Tensor], torch.Tensor],
) -> Features:
    filled = {}
    for m, (name, value) in enumerate(features.items()):
        missing = (~present[:, m]).nonzero().squeeze(1)
        filled[name] = value
        if len(missing):
            stand_ins = stand_in(name, key[missing]).to(value.dtype).expand(len(missing), *value.shape[1:])
            filled[name] = value.masked_fill(~present[:, m, None], 0.0).index_copy(0, missing, stand_ins)
    return filled


def _stream(name: str) -> int:
    return int.from_bytes(name.encode()[:8], "big")


def _normal(key: torch.Tensor, count: int, name: str) -> torch.Tensor:
    """Return (sample, count) standard normal values by the Box-Muller transform."""
    uniforms = uniform(key, 2 * count, _stream(name))
    return (-2 * (1 - uniforms[:, :count]).log()).sqrt() * (2 * math.pi * uniforms[:, count:]).cos()
