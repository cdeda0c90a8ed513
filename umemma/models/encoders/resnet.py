"""A small residual network (He et al. 2016) for images, spectrograms and short video, of any size and channel count.

A stem, four stages of residual blocks that double the channels and halve the map, global average pooling, one linear
layer. Batch normalisation, not group normalisation: after one epoch of 4,000 MNIST digits accuracy was 88.8 and 85.8 %
with it (two seeds), 59.2 and 57.4 % with groups of 8 channels, which also cost 1.5 times as much. Its statistics are
safe here: rows of a missing modality never enter an encoder. `lenet` learns faster from a few thousand small images.
"""

from collections.abc import Sequence

import torch
from torch import nn

from umemma.errors import unknown
from umemma.models.frames import EachFrame

_NUM_STAGES = 4
_FRAMES = ("mean", "stack")


def build(
    shape: Sequence[int],
    *,
    width: int = 16,
    depth: int = 1,
    dim: int = 64,
    stem_stride: int | Sequence[int] = (1, 1),
    dropout: float = 0.2,
    frames: str = "mean",
) -> nn.Module:
    """Return a module (batch, channel, height, width) -> (batch, dim); `width` channels and `depth` blocks at first.

    `stem_stride`: one number, or two for height and width. Video (frame, channel, height, width): `frames` `mean`
    averages the frames' features, `stack` takes all frames as channels of one image, which keeps their order.
    """
    strides = [stem_stride] * 2 if isinstance(stem_stride, int) else list(stem_stride)
    if len(strides) != 2 or not all(isinstance(step, int) for step in strides):
        raise ValueError(f"stem_stride is one whole number or [height, width], not {stem_stride!r}")
    if min(width, depth, dim, *strides) < 1 or not 0 <= dropout < 1:
        raise ValueError(
            f"width, depth, dim and stem_stride must be 1 or more, dropout at least 0 and below 1; they "
            f"are {width}, {depth}, {dim}, {stem_stride} and {dropout}"
        )
    if frames not in _FRAMES:
        raise ValueError(unknown("frames", "way", frames, _FRAMES))
    if len(shape) not in (3, 4):
        raise ValueError(f"resnet takes maps (channel, height, width), or frames of such, not {tuple(shape)}")
    is_video = len(shape) == 4
    channels = shape[0] * shape[1] if is_video and frames == "stack" else shape[-3]
    stem, channels = _stem(channels, width, strides), width
    stages: list[nn.Module] = []
    for n in range(_NUM_STAGES):
        for block in range(depth):
            stages.append(Residual(channels, width * 2**n, 2 if n and not block else 1))
            channels = width * 2**n
    body = nn.Sequential(stem, *stages, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    output = nn.Sequential(nn.Dropout(dropout), nn.Linear(channels, dim), nn.ReLU())
    if not is_video:
        return nn.Sequential(body, output)
    if frames == "stack":
        return nn.Sequential(nn.Flatten(1, 2), body, output)
    return nn.Sequential(EachFrame(body), output)


class Residual(nn.Module):
    """(batch, channels, height, width) -> (batch, out, height / stride, width / stride): two 3x3 convolutions."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, out, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(out),
            nn.ReLU(),
            nn.Conv2d(out, out, 3, padding=1, bias=False),
            nn.BatchNorm2d(out),
        )
        self.shortcut: nn.Module = nn.Identity()
        if channels != out or stride != 1:
            self.shortcut = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        """Return the block's output."""
        return (self.shortcut(value) + self.body(value)).relu()


def _stem(channels: int, width: int, strides: Sequence[int]) -> nn.Module:
    """Return the first convolution; its kernel grows with its stride, so that no pixel is skipped."""
    kernel = [max(3, 2 * step - 1) for step in strides]
    return nn.Sequential(
        nn.Conv2d(
            channels,
            width,
            (kernel[0], kernel[1]),
            (strides[0], strides[1]),
            padding=(kernel[0] // 2, kernel[1] // 2),
            bias=False,
        ),
        nn.BatchNorm2d(width),
        nn.ReLU(),
    )
