"""A (usually pre-trained) network used as an encoder, frozen or fine-tuned from its last blocks.

The network stays a module of its library and runs its own `forward`: few can be split into layers that are called one
after the other. `blocks` says which of its modules belong together, from input to output, so that the last n can be
fine-tuned, each at its own learning rate. Frozen blocks stay in eval mode while the rest trains: with moving batch
statistics or active dropout the same input would not give the same features.
"""

from collections.abc import Sequence

import torch
from torch import nn

from umemma.models.tuning import Tuning

_ROWS_AT_ONCE = 64  # without gradients: features are computed 500 rows at a time, and wav2vec2 takes 20 MB for each


class Projection(nn.Sequential):
    """(batch, feature) -> (batch, dim): linear, ReLU, dropout; the identity if `dim` is None."""

    scaling = "channel"

    def __init__(self, num_features: int, dim: int | None, dropout: float) -> None:
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout is at least 0 and below 1, not {dropout}")
        if dim is not None and (not isinstance(dim, int) or dim < 1):
            raise ValueError(f"dim is the number of features, or null, not {dim!r}")
        super().__init__(*[] if dim is None else [nn.Linear(num_features, dim), nn.ReLU(), nn.Dropout(dropout)])


class Backbone(nn.Module):
    """(batch, *shape) -> (batch, dim): a network, then a linear projection with ReLU, or none if `dim` is null.

    `scaling` and `value_range` tell `umemma.models.unimodal.Encoder` what input the network's weights expect.
    `architecture` holds the settings that rebuild the network where its original source is not available.
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
        """`blocks`: modules of `trunk`, input to output; parameters in none of them (an embedding) belong to the first.

        `trunk`, the network, maps (batch, *shape) to (batch, num_features).
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

    @property
    def rows_at_once(self) -> int | None:
        """How many samples the network gets in inference; None: as many as others."""
        return getattr(self.trunk, "rows_at_once", None)

    def features(self, value: torch.Tensor) -> torch.Tensor:
        """Return the network's (batch, num_features), before the projection."""
        if torch.is_grad_enabled() or len(value) <= _ROWS_AT_ONCE:
            return self.trunk(value)
        return torch.cat([self.trunk(part) for part in value.split(_ROWS_AT_ONCE)])

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        """Return (batch, dim)."""
        return self.projection(self.features(value))

    def train(self, mode: bool = True) -> "Backbone":
        """Set the mode of the trained blocks; frozen ones stay in eval mode."""
        super().train(mode)
        if self._num_trained < len(self._blocks):
            self.trunk.eval()
            for block in self._blocks[len(self._blocks) - self._num_trained :]:
                for module in block:
                    module.train(mode)
        return self

    def lr_factors(self) -> list[tuple[list[nn.Parameter], float]]:
        """Return the trained parameters, in groups, each with its factor of the learning rate."""
        blocks = self._parameters_of_blocks()
        groups = [(blocks[-1 - n], self._lr_scale * self._lr_decay**n) for n in range(self._num_trained)]
        return [
            (parameters, factor)
            for parameters, factor in [(list(self.projection.parameters()), 1.0), *groups]
            if parameters
        ]

    def _parameters_of_blocks(self) -> list[list[nn.Parameter]]:
        """Return each block's parameters, without duplicates."""
        seen: set[nn.Parameter] = set()
        blocks: list[list[nn.Parameter]] = []
        for block in self._blocks:
            new = [parameter for module in block for parameter in module.parameters() if parameter not in seen]
            blocks.append(list(dict.fromkeys(new)))
            seen |= set(new)
        blocks[0] = [parameter for parameter in self.trunk.parameters() if parameter not in seen] + blocks[0]
        return blocks
