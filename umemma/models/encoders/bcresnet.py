"""BC-ResNet, a small network for spoken words: Kim et al. 2021 (arXiv 2106.04140), for log-mel (1, 40 bins, frame).

A block's 2-D part convolves over frequencies; its 1-D part works on the mean over all frequencies and is broadcast
back to each of them ("broadcasted residual"), so that most of the computation is on one row instead of forty. Its
sub-spectral norm of five bands is from arXiv 2103.13620. Layers are named as in a public model (MIT licence) trained on
the 35 words of Speech Commands v2 with `scale: 2`, so that its file loads with all keys; where paper and file differ
(the last 5x5 convolution has 20 groups, not one per channel), this follows the file.

Those weights expect log2(power + 1e-9) of 40 HTK mel bins from 0 to 8,000 Hz, without filter normalisation, of a
centred Hann STFT with n_fft 1024 and hop 512 samples at 16,000 Hz: 32 frames per second, not standardised. With that,
and the 35 words in alphabetical order, the whole model classifies 89 % of 480 FSDD digits correctly; with a natural
logarithm 87 %, with decibels 80 %, with n_fft 400 65 %. `doubling` is the increase of the decoder's values when the
power doubles: 1 for log2, 0.6931 for a natural logarithm, 3.0103 for decibels. Without weights the input is
standardised as usual.
"""

from collections.abc import Sequence

import torch
from torch import nn

from umemma.models import pretrained
from umemma.models.backbone import Backbone
from umemma.models.settings import HUB
from umemma.models.tuning import Tuning

_NUM_BANDS = 5
_NUM_GROUPS = 20
_FREQUENCY_STEPS = 8  # total stride of the stem and two stages
_STAGES = ((8, 1, 1, 1), (12, 1, 2, 2), (16, 3, 2, 4), (20, 3, 1, 8))  # channels, normal blocks, stride, dilation
_LEAST, _LARGEST = -31.0, 25.0  # log2(1e-9) is -29.9; the loudest sound at this n_fft has about 2 ** 21
_SCALES = (1, 2, 3, 6, 8)


def build(
    shape: Sequence[int],
    *,
    scale: int = 2,
    dropout: float = 0.1,
    doubling: float = 1.0,
    weights: str | None = None,
    trainable: str = "full",
    dim: int | None = None,
    lr_scale: float = 1.0,
    lr_decay: float = 1.0,
    projection_dropout: float = 0.0,
) -> nn.Module:
    """Return a module (batch, 1, mel, frame) -> (batch, dim or 32 * scale); `scale` multiplies every width.

    Blocks are the stem, the paper's four stages and the last two convolutions. Other settings: `Tuning`.
    """
    least = _FREQUENCY_STEPS * _NUM_BANDS
    if len(shape) != 3 or shape[0] != 1 or shape[1] % least or not shape[1] or shape[2] < 5:
        raise ValueError(
            f"bcresnet takes log-mel spectrograms (1, {least} bins or a multiple, 5 frames or more), not {tuple(shape)}"
        )
    if scale not in _SCALES or not 0 <= dropout < 1 or doubling <= 0:
        raise ValueError(
            f"scale is one of {_SCALES}, dropout at least 0 and below 1, doubling above 0; they are "
            f"{scale}, {dropout} and {doubling}"
        )
    trunk = BCResNet(scale, dropout, doubling if weights else 1.0)
    if weights == HUB:
        raise ValueError("bcresnet has no weights on a hub; weights is a file, or null")
    if weights not in (None, pretrained.LATER):
        pretrained.load(trunk, weights, unused=("head_conv.",))
    tuning = Tuning(weights, trainable, dim, lr_scale, lr_decay, projection_dropout)
    return Backbone(
        trunk,
        trunk.blocks(),
        32 * scale,
        tuning,
        scaling="none" if weights else "whole",
        value_range=(_LEAST * doubling, _LARGEST * doubling) if weights else None,
    )


class BCResNet(nn.Module):
    """(batch, 1, mel, frame) -> (batch, 32 * scale): all layers before the classifier, then global average pooling."""

    def __init__(self, scale: int, dropout: float, doubling: float) -> None:
        super().__init__()
        self.doubling = doubling
        self.input_conv = nn.Conv2d(1, 16 * scale, 5, (2, 1), padding=2)
        channels = 16 * scale
        for n, (width, num_normal, stride, dilation) in enumerate(_STAGES, start=1):
            out = width * scale
            self.add_module(f"t{n}", TransitionBlock(channels, out, stride, dilation, dropout))
            for k in range(1, num_normal + 1):
                self.add_module(f"n{n}{k}", NormalBlock(out, dilation, dropout))
            channels = out
        self.dw_conv = nn.Conv2d(channels, channels, 5, groups=_NUM_GROUPS)
        self.onexone_conv = nn.Conv2d(channels, 32 * scale, 1)

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        """Return (batch, 32 * scale)."""
        value = value.float() / self.doubling
        for layer in self.children():
            value = layer(value)
        return value.mean(dim=(2, 3))

    def blocks(self) -> list[list[nn.Module]]:
        """Return the layers that are trained or frozen together."""
        named = dict(self.named_children())
        stages = [[part for name, part in named.items() if name[1:2] == str(n)] for n in range(1, len(_STAGES) + 1)]
        return [[self.input_conv], *stages, [self.dw_conv, self.onexone_conv]]


class SubSpectralNorm(nn.Module):
    """Batch normalisation with separate statistics for each of five frequency bands."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(channels * _NUM_BANDS)

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        """(batch, channel, frequency, frame) -> the same."""
        batch, channels, bins, frames = value.shape
        banded = value.reshape(batch, channels * _NUM_BANDS, bins // _NUM_BANDS, frames)
        return self.bn(banded).reshape(value.shape)


class NormalBlock(nn.Module):
    """(batch, channel, frequency, frame) -> the same: the sum of input, 2-D part and broadcast 1-D part."""

    def __init__(self, channels: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.f2 = nn.Sequential(_over_frequency(channels, 1), SubSpectralNorm(channels))
        self.f1 = _over_time(channels, dilation, dropout)

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        """Return the block's output."""
        local = self.f2(value)
        return (value + local + self.f1(local.mean(dim=2, keepdim=True))).relu()


class TransitionBlock(nn.Module):
    """The first block of a stage, which changes the number of channels and has no skip connection."""

    def __init__(self, channels: int, out: int, stride: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.f2 = nn.Sequential(
            nn.Conv2d(channels, out, 1),
            nn.BatchNorm2d(out),
            nn.ReLU(),
            _over_frequency(out, stride),
            SubSpectralNorm(out),
        )
        self.f1 = _over_time(out, dilation, dropout)

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        """Return the block's output."""
        local = self.f2(value)
        return (local + self.f1(local.mean(dim=2, keepdim=True))).relu()


def _over_frequency(channels: int, stride: int) -> nn.Module:
    return nn.Conv2d(channels, channels, (3, 1), (stride, 1), padding=(1, 0), groups=channels)


def _over_time(channels: int, dilation: int, dropout: float) -> nn.Module:
    """Return the 1-D part, (batch, channel, 1, frame) -> the same."""
    return nn.Sequential(
        nn.Conv2d(channels, channels, (1, 3), padding=(0, dilation), dilation=(1, dilation), groups=channels),
        nn.BatchNorm2d(channels),
        nn.SiLU(),
        nn.Conv2d(channels, channels, 1),
        nn.Dropout2d(dropout),
    )
