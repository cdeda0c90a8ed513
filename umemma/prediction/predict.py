"""Run a model once on every sample under every pattern (of many modalities, under those of `missingness.panel`)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

import torch

from umemma.data.batch import Batch
from umemma.missingness import Pattern, panel
from umemma.models.checkpoint import Model
from umemma.models.device import Device
from umemma.models.early_fusion import EarlyFusion
from umemma.models.per_pattern import PerPattern
from umemma.models.run_encoders import encode_split
from umemma.prediction.predictions import Predictions


@torch.no_grad()
def predict(
    model: Model,
    data: Batch,
    log_prior: torch.Tensor,
    *,
    group: torch.Tensor,
    batch_size: int,
    device: Device,
    features: Mapping[str, torch.Tensor] | None = None,
    patterns: Sequence[Pattern] | None = None,
) -> Predictions:
    """Return the model's predictions in inference mode; a sample with nothing left gets `log_prior` (class,).

    A model of parts by modality encodes each sample once, or never if its `features` {modality: (sample, dim)} are given, as they
    may also be for a per-pattern model of such models; only the head runs for every pattern. Any other model is run in full
    for every pattern. `patterns` None: those of `missingness.panel`.
    """
    was_training = model.training
    model.to(device.torch_device).eval()
    if features is None and not isinstance(model, EarlyFusion | PerPattern):
        features = encode_split(model.parts(), data, batch_size=batch_size, device=device)
    if features is not None:
        data = data.with_values(features)
    logits: dict[Pattern, torch.Tensor] = {}
    for pattern in panel(len(data.modalities)) if patterns is None else patterns:
        parts = []
        for start in range(0, len(data), batch_size):
            batch = data.rows(slice(start, start + batch_size))
            batch = batch.with_present(batch.present & torch.tensor(pattern)).to(device.torch_device)
            if features is not None and not isinstance(model, EarlyFusion):
                parts.append(model.fuse(batch.values, batch.present, batch.key).float().cpu())
            else:
                with device.autocast():
                    parts.append(model(batch).float().cpu())
        left = (data.present & torch.tensor(pattern)).any(dim=1, keepdim=True)
        logits[pattern] = torch.where(left, torch.cat(parts), log_prior)
    logits[(False,) * len(data.modalities)] = log_prior.expand(len(data), -1).clone()
    model.train(was_training)
    return Predictions(data.modalities, data.present, data.label, group, data.key, logits)


def predict_specialists(
    model: PerPattern,
    data: Batch,
    log_prior: torch.Tensor,
    *,
    group: torch.Tensor,
    batch_size: int,
    device: Device,
    features: Mapping[str, torch.Tensor],
) -> Predictions:
    """Return the predictions of each set's own model for every sample, whatever the sample has of the set.

    As the model was trained: samples with holes of their own are answered by the model of the set that is asked about, not
    by that of what they happen to have. A set that has no model is answered as `predict` does.
    """
    everywhere = predict(
        model,
        data,
        log_prior,
        group=group,
        batch_size=batch_size,
        device=device,
        features=features,
        patterns=[pattern for pattern in panel(len(data.modalities)) if model.member(pattern) is None],
    )
    logits = dict(everywhere.logits)
    for pattern in panel(len(data.modalities)):
        if (found := model.member(pattern)) is None:
            continue
        member, names = found
        alone = predict(
            cast(Model, member),
            data.only(names),
            log_prior,
            group=group,
            batch_size=batch_size,
            device=device,
            features={name: features[name] for name in names},
            patterns=[(True,) * len(names)],
        )
        logits[pattern] = alone.logits[(True,) * len(names)]
    return replace(everywhere, logits=logits)
