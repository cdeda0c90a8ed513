"""A pre-trained language model as text encoder: `transformers:<folder, package or hub name>`.

The features are the mean of its last layer over the text's tokens, without padding, as in sentence encoders. Token ids
are those of the decoder `tokens`, with the same name as `decode.model`: the tokeniser's plus one, 0 for padding. BERT's
pooling layer, made for another purpose, is removed. Blocks are the embeddings, then each layer. Loading fails if the
files have missing or unexpected parts of the network; heads for other tasks are ignored.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModel

from umemma import hub
from umemma.errors import ParameterError
from umemma.models import pretrained
from umemma.models.backbone import Backbone
from umemma.models.settings import HUB
from umemma.models.tuning import Tuning

_POOLER = "pooler"


def build(
    shape: Sequence[int],
    *,
    variant: str,
    weights: str | None = HUB,
    trainable: str = "full",
    dim: int | None = None,
    lr_scale: float = 1.0,
    lr_decay: float = 1.0,
    projection_dropout: float = 0.0,
    config: Mapping[str, Any] | None = None,
) -> nn.Module:
    """Return a module (batch, length) of ids -> (batch, dim or the model's own features).

    `weights`: `hub` takes those that come with `variant`, even if that is a folder; a file holds a state dict of the
    same network. `config`: the content of its config.json, if `variant` is not available. Others: `Tuning`.
    """
    if len(shape) != 1:
        raise ValueError(f"transformers takes token ids (length,), not {tuple(shape)}")
    description = AutoConfig.for_model(**config) if config else hub.opened(variant, AutoConfig.from_pretrained)
    if description.is_encoder_decoder:
        raise ValueError(f"{variant} is an encoder with a decoder ({description.model_type}); only encoders are taken")
    if shape[0] > getattr(description, "max_position_embeddings", shape[0]):
        raise ValueError(
            f"{variant} takes {description.max_position_embeddings} tokens at most; decode.length is {shape[0]}"
        )
    model = _model(variant, weights, description)
    if getattr(model, _POOLER, None) is not None:
        setattr(model, _POOLER, None)
    # `_name_or_path` is a path on this machine.
    architecture_config = {key: value for key, value in description.to_dict().items() if key != "_name_or_path"}
    return Backbone(
        MeanOfTokens(model, getattr(description, "pad_token_id", None) or 0),
        _blocks(model),
        description.hidden_size,
        Tuning(weights, trainable, dim, lr_scale, lr_decay, projection_dropout),
        scaling="none",
        value_range=(0, description.vocab_size),
        architecture={"config": architecture_config},
    )


class MeanOfTokens(nn.Module):
    """(batch, length) of ids, the model's plus one, 0 for padding -> (batch, hidden size).

    In inference a text is a block by itself: cut to the longest of a batch, its bits would depend on the others.
    """

    rows_at_once = 1

    def __init__(self, model: nn.Module, padding: int) -> None:
        super().__init__()
        self.model, self.padding = model, padding

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        """Return the mean over the tokens; zeros for a text without tokens."""
        ids = value.long()
        last = (ids > 0).any(dim=0).nonzero().flatten()[-1:]  # padding common to all costs as much as words
        ids = ids[:, : int(last.sum()) + 1]
        is_token = ids > 0
        states = self.model(input_ids=(ids - 1).masked_fill(~is_token, self.padding), attention_mask=is_token.long())
        summed = states.last_hidden_state.float().masked_fill(~is_token[:, :, None], 0.0).sum(dim=1)
        return summed / is_token.sum(dim=1, keepdim=True).clamp_min(1)


def _model(variant: str, weights: str | None, config: Any) -> nn.Module:
    if weights != HUB:
        model = AutoModel.from_config(config).float()
        if weights not in (None, pretrained.LATER):
            pretrained.load(model, weights, unused=(f"{_POOLER}.",), expected_missing=(f"{_POOLER}.",))
        return model
    model, loading = hub.opened(
        variant, partial(AutoModel.from_pretrained, dtype=torch.float32, output_loading_info=True)
    )
    parts = {name for name, _ in model.named_children()} - {_POOLER}
    keys_by_problem = {
        "missing": [key for key in loading["missing_keys"] if key.split(".")[0] in parts],
        "unexpected": [key for key in loading["unexpected_keys"] if key.split(".")[0] in parts],
        "of another shape": [key for key, *_ in loading["mismatched_keys"]],
    }
    problems = "; ".join(
        f"{len(keys)} {kind}: {', '.join(sorted(keys)[:8])}" for kind, keys in keys_by_problem.items() if keys
    )
    if problems:
        raise ParameterError(f"{variant}: its weights do not fit its config.json ({problems})")
    return model


def _blocks(model: nn.Module) -> list[list[nn.Module]]:
    """Return an empty block for the embeddings (all in no block), then the layers, the last with its successors."""
    lists = [(name, module) for name, module in model.named_modules() if isinstance(module, nn.ModuleList)]
    if not lists:
        raise ValueError(f"{type(model).__name__} has no list of layers")
    name, layers = max(lists, key=lambda pair: sum(p.numel() for p in pair[1].parameters()))
    siblings = list(model.get_submodule(name.rpartition(".")[0]).children())
    after = siblings[siblings.index(layers) + 1 :]
    return [[], *([layer] for layer in layers[:-1]), [layers[-1], *after]]
