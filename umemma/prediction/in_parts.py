"""Predictions of a split made in parts, wherever a launcher works: a sample's answers are the same bytes in any part."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from umemma.data.batch import Batch
from umemma.launchers.launcher import Launcher
from umemma.models.checkpoint import Model
from umemma.models.device import Device
from umemma.prediction import predict as whole
from umemma.prediction.predictions import Predictions

ROWS = 2_000  # in a part


@dataclass(frozen=True)
class Part:
    """Some rows of a split. Pickled, it is these rows and no others: a tensor takes all that it is a view of with it."""

    data: Batch
    group: torch.Tensor
    features: Mapping[str, torch.Tensor] | None

    def __getstate__(self) -> dict[str, Any]:
        data = self.data.with_values(_copied(self.data.values))
        data = replace(data, **{name: getattr(data, name).clone() for name in ("present", "label", "key")})
        return {
            "data": data,
            "group": self.group.clone(),
            "features": None if self.features is None else _copied(self.features),
        }


@dataclass(frozen=True)
class _Predict:
    """Answers a part on the device of whichever process does so."""

    model: Model
    log_prior: torch.Tensor
    set_up: Callable[[], Device]

    def __call__(self, part: Part) -> Predictions:
        return whole.predict(
            self.model, part.data, self.log_prior, group=part.group, device=self.set_up(), features=part.features
        )


def predict(
    model: Model,
    data: Batch,
    log_prior: torch.Tensor,
    *,
    group: torch.Tensor,
    features: Mapping[str, torch.Tensor] | None,
    set_up: Callable[[], Device],
    launcher: Launcher,
) -> Predictions:
    """Return what `predict.predict` does, on devices of one kind byte for byte; `set_up` returns a process's device."""
    parts = [
        Part(
            data.rows(rows),
            group[rows],
            None if features is None else {name: value[rows] for name, value in features.items()},
        )
        for rows in (slice(start, start + ROWS) for start in range(0, max(1, len(data)), ROWS))
    ]
    done = list(launcher.map(_Predict(model.to("cpu"), log_prior, set_up), parts))
    logits = {pattern: torch.cat([one.logits[pattern] for one in done]) for pattern in done[0].logits}
    return Predictions(data.modalities, data.present, data.label, group, data.key, logits)


def _copied(values: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in values.items()}
