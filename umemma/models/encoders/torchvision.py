"""Any image classifier of torchvision without its classifier: `torchvision:resnet18`, `torchvision:squeezenet1_0`, ...

In all of torchvision's classifiers the last linear layer, or 1x1 convolution, maps features to classes; it is replaced
with the identity. Everything before it stays, including the hidden layers of VGG's classifier. Blocks are the model's
own modules: ResNet's stages, the layers of a transformer; a normalisation belongs to the module it follows.

Input is `inputs: pixels`, 0 to 255, scaled as the model's weights expect; a single channel is repeated to three. Other
input, such as a log-mel spectrogram in decibels, is `inputs: standardised`: by the training set's mean and standard
deviation, so that values have the scale that the weights expect. Video, four axes, is processed frame by frame.
"""

import re
from collections.abc import Iterator, Sequence
from functools import partial

import torch
from torch import nn
from torchvision import models

from umemma.errors import ParameterError, unknown
from umemma.models import pretrained
from umemma.models.backbone import Backbone
from umemma.models.frames import EachFrame
from umemma.models.settings import HUB
from umemma.models.tuning import Tuning

_CONTAINERS = {"features", "layers", "encoder", "blocks", "trunk_output", "classifier", "heads"}
_NORMS = (nn.BatchNorm2d, nn.LayerNorm)
_AUXILIARY = ("aux1", "aux2", "AuxLogits")  # auxiliary classifiers, used only in training from scratch
_OF_ONE_SIZE = ("vit_", "maxvit_")
_INPUTS = {"pixels": "none", "standardised": "whole"}


def build(
    shape: Sequence[int],
    *,
    variant: str,
    weights: str | None = None,
    trainable: str = "full",
    dim: int | None = None,
    lr_scale: float = 1.0,
    lr_decay: float = 1.0,
    projection_dropout: float = 0.0,
    inputs: str = "pixels",
    size_px: int | Sequence[int] | None = None,
    least_px: int = 0,
) -> nn.Module:
    """Return a module (batch, channel, height, width) -> (batch, dim or the model's own features).

    `size_px` resizes images to a square, or to [height, width]: some models take only the size they were made for.
    `least_px` upsamples images whose shorter side is below it: made for photographs, some models downsample 32 times.
    `weights`: torchvision's own with `hub`, or a file of its key names; other settings: `umemma.models.tuning.Tuning`.
    """
    if variant not in models.list_models(module=models):
        raise ParameterError(
            unknown("encoder.name", "classifier of torchvision", variant, models.list_models(module=models))
        )
    if inputs not in _INPUTS:
        raise ValueError(unknown("inputs", "kind", inputs, _INPUTS))
    if len(shape) not in (3, 4) or shape[-3] not in (1, 3):
        raise ValueError(
            f"torchvision takes images (channel, height, width) of 1 or 3 channels, or frames of such, "
            f"not {tuple(shape)}"
        )
    preset = models.get_model_weights(variant).DEFAULT.transforms()
    mean, std = (preset.mean, preset.std) if inputs == "pixels" else ([0.0] * 3, [1 / 255] * 3)
    entry = Pixels(mean, std, size_px or _enlarged(shape[-2:], least_px))
    own_px, side_px = preset.crop_size[0], entry.size or list(shape[-2:])
    if variant.startswith(_OF_ONE_SIZE) and side_px != [own_px, own_px]:
        raise ValueError(f"{variant} takes images of {own_px} px only, not {side_px}; set size_px to {own_px}")
    model, num_features, classifier = _headless(variant, has_weights=weights is not None)
    blocks = list(_blocks(model))
    _load(model, weights, variant, classifier)
    trunk = nn.Sequential(entry, model)
    return Backbone(
        EachFrame(trunk) if len(shape) == 4 else trunk,
        blocks,
        num_features,
        Tuning(weights, trainable, dim, lr_scale, lr_decay, projection_dropout),
        scaling=_INPUTS[inputs],
        value_range=(0, 255) if inputs == "pixels" else None,
    )


def _enlarged(sides: Sequence[int], least_px: int) -> list[int] | None:
    shorter = min(sides)
    return [round(side * least_px / shorter) for side in sides] if shorter < least_px else None


class Pixels(nn.Module):
    """(batch, 1 or 3, height, width) of 0 to 255 -> (batch, 3, ...), (value / 255 - mean) / std for each channel."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float], size_px: int | Sequence[int] | None) -> None:
        super().__init__()
        self.size = [size_px, size_px] if isinstance(size_px, int) else size_px and list(size_px)
        if self.size and (len(self.size) != 2 or not all(isinstance(side, int) and side > 0 for side in self.size)):
            raise ValueError(f"size_px is one whole number or [height, width], not {size_px!r}")
        self.register_buffer("mean", torch.tensor(mean)[:, None, None] * 255, persistent=False)
        self.register_buffer("std", torch.tensor(std)[:, None, None] * 255, persistent=False)

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        """Resize, repeat one channel, scale."""
        value = value.float()
        if self.size:
            value = nn.functional.interpolate(value, self.size, mode="bilinear", antialias=True)
        return (value - self.mean) / self.std


def _headless(variant: str, *, has_weights: bool) -> tuple[nn.Module, int, str]:
    """Return the model with the identity in place of its classifier, its number of features, the classifier's name.

    Google's two networks rescale their input if they have weights, which were trained with another scaling.
    """
    from_google = variant in ("googlenet", "inception_v3")
    settings = {"init_weights": False, "transform_input": has_weights} if from_google else {}
    model = models.get_model(variant, weights=None, **settings)
    for name in _AUXILIARY:
        if hasattr(model, name):
            setattr(model, name, None)
            model.aux_logits = False
    name, last = [
        (name, module) for name, module in model.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)
    ][-1]
    num_features = last.in_features if isinstance(last, nn.Linear) else last.in_channels
    model.set_submodule(name, nn.Identity())
    return model, num_features, name


def _blocks(model: nn.Module) -> Iterator[list[nn.Module]]:
    """Yield the model's modules that hold parameters, from input to output, with containers flattened."""
    block: list[nn.Module] = []
    for part in _parts(model):
        if block and not isinstance(part, _NORMS):
            yield block
            block = []
        block.append(part)
    yield block


def _parts(module: nn.Module) -> Iterator[nn.Module]:
    for name, child in module.named_children():
        if name in _CONTAINERS:
            yield from _parts(child)
        elif next(child.parameters(), None) is not None:
            yield child


def _load(model: nn.Module, weights: str | None, variant: str, classifier: str) -> None:
    unused = (f"{classifier}.", *(f"{name}." for name in _AUXILIARY))
    if weights == HUB:
        published = models.get_model_weights(variant).DEFAULT
        state = pretrained.from_hub(partial(published.get_state_dict, check_hash=True), published.url)
        pretrained.fill(model, state, published.url, unused=unused, rename=_new_name)
    elif weights not in (None, pretrained.LATER):
        pretrained.load(model, weights, unused=unused, rename=_new_name)


def _new_name(key: str) -> str:
    """Return the current key for one of DenseNet's published files, which still have `norm.1` for `norm1`."""
    return re.sub(r"(denselayer\d+\.(?:norm|relu|conv))\.(?=[12]\.)", r"\1", key)
