"""A network that is - mostly - trained elsewhere, and what of it is trained on here.

The trunk stays a module of its library, whose own `forward` runs: only few can be taken apart into layers that are
called one after the other. `blocks` says which of its modules belong together, from input to output, so that the last
n can be trained, each at a learning rate of its own. Frozen blocks are in eval mode even while the rest trains: their
batch statistics must not move and their dropout must not act, or the same input would not give the same features.
"""

from collections.abc import Sequence

import torch
from torch import nn

from umemma.models.tuning import Tuning

_ROWS_AT_ONCE = 64  # without gradients: features are asked for 500 rows at a time, and wav2vec2 takes 20 MB for each


class Projection(nn.Sequential):
    """(batch, feature) -> (batch, dim): linear, ReLU, dropout; or nothing at all where `dim` is None."""

    scaling = "channel"

    def __init__(self, num_features: int, dim: int | None, dropout: float) -> None:
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout is at least 0 and below 1, not {dropout}")
        if dim is not None and (not isinstance(dim, int) or dim < 1):
            raise ValueError(f"dim is the number of features, or null, not {dim!r}")
        super().__init__(*[] if dim is None else [nn.Linear(num_features, dim), nn.ReLU(), nn.Dropout(dropout)])


class Backbone(nn.Module):
    """(batch, *shape) -> (batch, dim): a trunk, then a linear projection with ReLU, or none where `dim` is null.

    `scaling` and `value_range` tell `umemma.models.unimodal.Encoder` what input the trunk's weights expect. `architecture` holds
    settings that build the same trunk again where what it was built from is not at hand.
    """

    def __init__(
        self,
        trunk: nn.Module,
        blocks: Sequence[Sequence[nn.Module]],
        num_features: int,
        tuning: Tuning,
        *,
        scaling: str,
        value_range: tuple[float, float] | None = None,
        architecture: dict[str, object] | None = None,
    ) -> None:
        """`blocks`: modules of `trunk`, input to output; what is in none counts as the first's: an embedding, a token.

        `trunk` maps (batch, *shape) to (batch, num_features).
        """
        super().__init__()
        self.trunk, self.scaling, self.value_range = trunk, scaling, value_range
        self.architecture = architecture or {}
        self._blocks = [list(block) for block in blocks]
        self._num_trained = tuning.num_blocks(len(blocks))
        self._lr_scale, self._lr_decay = tuning.lr_scale, tuning.lr_decay
        self.projection = Projection(num_features, tuning.dim, tuning.projection_dropout)
        for block in self._parameters_of_blocks()[: len(blocks) - self._num_trained]:
            for parameter in block:
                parameter.requires_grad_(False)
        self.train()

    def features(self, value: torch.Tensor) -> torch.Tensor:
        """Return the trunk's (batch, num_features)."""
        if torch.is_grad_enabled() or len(value) <= _ROWS_AT_ONCE:
            return self.trunk(value)
        return torch.cat([self.trunk(part) for part in value.split(_ROWS_AT_ONCE)])

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        """Return (batch, dim)."""
        return self.projection(self.features(value))

    def train(self, mode: bool = True) -> "Backbone":
        """Set the mode of what is trained; the rest is in eval mode for ever."""
        super().train(mode)
        if self._num_trained < len(self._blocks):
            self.trunk.eval()
            for block in self._blocks[len(self._blocks) - self._num_trained :]:
                for module in block:
                    module.train(mode)
        return self

    def lr_factors(self) -> list[tuple[list[nn.Parameter], float]]:
        """Return what is trained, in groups, each with its share of the learning rate."""
        blocks = self._parameters_of_blocks()
        groups = [(blocks[-1 - n], self._lr_scale * self._lr_decay**n) for n in range(self._num_trained)]
        return [(own, factor) for own, factor in [(list(self.projection.parameters()), 1.0), *groups] if own]

    def _parameters_of_blocks(self) -> list[list[nn.Parameter]]:
        """Return each block's parameters, every one once."""
        seen: set[nn.Parameter] = set()
        blocks: list[list[nn.Parameter]] = []
        for block in self._blocks:
            own = [one for module in block for one in module.parameters() if one not in seen]
            blocks.append(list(dict.fromkeys(own)))
            seen |= set(own)
        blocks[0] = [one for one in self.trunk.parameters() if one not in seen] + blocks[0]
        return blocks
