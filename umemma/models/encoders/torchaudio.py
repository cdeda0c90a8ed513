"""A pre-trained speech model as audio encoder: `torchaudio:wav2vec2_base`, `torchaudio:hubert_base`, ...

Names are torchaudio's bundles of wav2vec 2.0 (arXiv 2006.11477) and HuBERT (2106.07447) in lower case. The network is
built from the bundle's configuration, without a download, and without the character output layer that some have. Input
is a waveform at the bundle's 16,000 Hz, between -1 and 1 or as int16; trailing zeros are treated as padding, as a
decoder that crops or pads adds them: they are neither attended to nor averaged. Blocks are the convolutions with
everything before the transformer layers, then each layer.
"""

from collections.abc import Sequence

import torch
from torch import nn
from torchaudio import models, pipelines
from torchaudio.pipelines import Wav2Vec2Bundle

from umemma.errors import ParameterError, unknown
from umemma.models import pretrained
from umemma.models.backbone import Backbone
from umemma.models.settings import HUB
from umemma.models.tuning import Tuning

_LEAST_SAMPLES = 400  # the convolutions' receptive field
_INT16 = 32_768


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
) -> nn.Module:
    """Return a module (batch, time) -> (batch, dim or the model's own features).

    `weights`: torchaudio's own with `hub`, or a file of its key names; other settings: `umemma.models.tuning.Tuning`.
    """
    bundles = {
        name.lower(): bundle
        for name, bundle in vars(pipelines).items()  # `_params` is what `get_model` builds from
        if isinstance(bundle, Wav2Vec2Bundle) and bundle._model_type == "Wav2Vec2"
    }
    if variant not in bundles:
        raise ParameterError(unknown("encoder.name", "bundle of torchaudio", variant, bundles))
    if len(shape) != 1 or shape[0] < _LEAST_SAMPLES:
        raise ValueError(f"torchaudio takes waveforms (time,) of {_LEAST_SAMPLES} samples or more, not {tuple(shape)}")
    bundle = bundles[variant]
    model = models.wav2vec2_model(**bundle._params | {"aux_num_out": None})
    if weights == HUB:
        state = pretrained.from_hub(lambda: bundle._get_state_dict(None), bundle._path)
        pretrained.fill(model, state, bundle._path, unused=("aux.",))
    elif weights not in (None, pretrained.LATER):
        pretrained.load(model, weights, unused=("aux.",))
    *layers, last = model.encoder.transformer.layers
    return Backbone(
        MeanOfFrames(model, bundle._normalize_waveform),
        [[], *([layer] for layer in layers), [last]],
        bundle._params["encoder_embed_dim"],
        Tuning(weights, trainable, dim, lr_scale, lr_decay, projection_dropout),
        scaling="none",
    )


class MeanOfFrames(nn.Module):
    """(batch, time) -> (batch, feature); `normalises`: first standardises each waveform to mean 0 and variance 1."""

    def __init__(self, model: models.Wav2Vec2Model, normalises: bool) -> None:
        super().__init__()
        self.model, self.normalises = model, normalises

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        """Return the mean over a waveform's frames, without padding."""
        waveform = value / _INT16 if value.dtype == torch.int16 else value.float()
        steps = torch.arange(1, waveform.shape[1] + 1, device=waveform.device)
        lengths = (steps * (waveform != 0)).amax(dim=1).clamp_min(_LEAST_SAMPLES)
        if self.normalises:
            waveform = _normalised(waveform, steps <= lengths[:, None])
        frames, lengths = self.model(waveform, lengths)
        is_frame = torch.arange(frames.shape[1], device=frames.device) < lengths[:, None]
        return frames.masked_fill(~is_frame[:, :, None], 0.0).sum(dim=1) / lengths[:, None]


def _normalised(waveform: torch.Tensor, is_sound: torch.Tensor) -> torch.Tensor:
    count = is_sound.sum(dim=1, keepdim=True)
    centred = (waveform - waveform.sum(dim=1, keepdim=True) / count).masked_fill(~is_sound, 0.0)
    return centred / (centred.square().sum(dim=1, keepdim=True) / count + 1e-5).sqrt()
