"""A caller's own module as a modality's encoder."""

from copy import deepcopy
from typing import Any

import torch
from torch import nn

from umemma.errors import SettingError


class GivenEncoder(nn.Module):
    """(batch, *shape) -> (batch, dim) float32: a copy of a module, which gets the batch's values unchanged.

    The original module is never trained: arms that train from scratch start from it. Such an encoder cannot be saved
    to a file, as it could not be rebuilt from it; save `state_dict()`.
    """

    def __init__(self, modality: str, sample: torch.Tensor, module: nn.Module) -> None:
        """`sample` (1 or more, *shape), of the type that the module gets later. Raises SettingError if it cannot."""
        super().__init__()
        self.modality, self.shape = modality, tuple(sample.shape[1:])
        self.body = deepcopy(module)
        self._untrained = (module,)  # in a tuple, so that it is not registered as a submodule
        self.dim = _num_features(self.body, sample[:1], modality)

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        """Encode."""
        return self.body(value).float()

    def parameter_groups(self, lr: float) -> list[tuple[list[nn.Parameter], float]]:
        """Return the trainable parameters of the module, with their learning rate."""
        trained = [parameter for parameter in self.body.parameters() if parameter.requires_grad]
        return [(trained, lr)] if trained else []

    def fit_scale(self, sample: torch.Tensor) -> None:
        """Scale nothing: a caller's module scales its own input, or gets it scaled.

        Raises SettingError for numbers that were not measured (NaN), unless the module has `takes_gaps` true.
        """
        if sample.is_floating_point() and sample.isnan().any() and not getattr(self.body, "takes_gaps", False):
            raise SettingError(
                f"{self.modality} holds NaN, numbers that were not measured, and a caller's own module gets values "
                "unchanged; fill them in, or give the module an attribute `takes_gaps = True` if it takes NaN"
            )

    def fresh(self) -> "GivenEncoder":
        """Return the encoder as it was before training."""
        other = deepcopy(self)
        other.body = deepcopy(self._untrained[0])
        return other

    def facts(self) -> dict[str, Any]:
        """Raise SettingError: see the class."""
        raise SettingError(
            f"the encoder of {self.modality} is a module of the caller's own, which a file cannot build again; "
            "keep its state_dict() with torch.save"
        )


def _num_features(body: nn.Module, sample: torch.Tensor, modality: str) -> int:
    mode = body.training
    try:
        with torch.no_grad():
            shape = body.eval()(sample).shape
    except (RuntimeError, AssertionError, IndexError, TypeError) as error:
        raise SettingError(
            f"the encoder of {modality} cannot take values of shape {tuple(sample.shape[1:])} and type "
            f"{sample.dtype}: {error}"
        ) from error
    finally:
        body.train(mode)
    if len(shape) != 2:
        raise SettingError(f"the encoder of {modality} returns {tuple(shape)} for one sample; it must be (1, features)")
    return int(shape[1])
