"""Run a model once on every sample under every pattern (of many modalities, under those of `missingness.panel`)."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import cast

import torch

from umemma.data.batch import Batch
from umemma.missingness import Pattern, panel
from umemma.models.blocks import ROWS_OF_HEAD, Aligned, blocks, rows_at_once
from umemma.models.checkpoint import Model
from umemma.models.device import Device
from umemma.models.early_fusion import EarlyFusion
from umemma.models.per_pattern import PerPattern
from umemma.models.run_encoders import encode_split, in_eval_mode
from umemma.prediction.predictions import Predictions


@torch.no_grad()
def predict(
    model: Model,
    data: Batch,
    log_prior: torch.Tensor,
    *,
    group: torch.Tensor,
    device: Device,
    features: Mapping[str, torch.Tensor] | None = None,
    patterns: Sequence[Pattern] | None = None,
) -> Predictions:
    """Return the model's predictions in inference mode; a sample with nothing left gets `log_prior` (class,).

    A model of parts by modality encodes each sample once, or never if its `features` {modality: (sample, dim)} are given, as they
    may also be for a per-pattern model of such models; only the head runs for every pattern. Any other model is run in full
    for every pattern. `patterns` None: those of `missingness.panel`.
    """
    model.to(device.torch_device)
    logits: dict[Pattern, torch.Tensor] = {}
    with in_eval_mode(model):
        if features is None:
            features = features_of(model, data, device)
        of_features = features is not None and not isinstance(model, EarlyFusion)
        data = data.with_values(features) if features is not None else data
        for pattern in panel(len(data.modalities)) if patterns is None else patterns:
            left = data.with_present(data.present & torch.tensor(pattern))
            logits[pattern] = answered(model, left, log_prior, of_features=of_features, device=device)
    logits[(False,) * len(data.modalities)] = log_prior.expand(len(data), -1).clone()
    return Predictions(data.modalities, data.present, data.label, group, data.key, logits)


def predict_specialists(
    model: PerPattern,
    data: Batch,
    log_prior: torch.Tensor,
    *,
    group: torch.Tensor,
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
            device=device,
            features={name: features[name] for name in names},
            patterns=[(True,) * len(names)],
        )
        logits[pattern] = alone.logits[(True,) * len(names)]
    return replace(everywhere, logits=logits)


def features_of(model: Model, data: Batch, device: Device) -> dict[str, torch.Tensor] | None:
    """Return {modality: (sample, dim)}; None for a model that has no part for each modality."""
    if isinstance(model, EarlyFusion | PerPattern):
        return None
    return encode_split(model.parts(), data, device=device)


@torch.no_grad()
def answered(model: Model, data: Batch, log_prior: torch.Tensor, *, of_features: bool, device: Device) -> torch.Tensor:
    """Return (sample, class) float32: every sample answered from exactly what it has, `log_prior` if that is nothing.

    The model is in eval mode and on the device. `of_features`: the values of `data` are features. The same bytes for a
    sample, whatever the others are and have (`umemma.models.blocks`).
    """
    logits = log_prior.expand(len(data), -1).clone()
    rows = data.present.any(dim=1).nonzero().squeeze(1)
    size = ROWS_OF_HEAD if of_features else rows_at_once(model, device.torch_device)
    for index, count in blocks(len(rows), size):
        batch = data.rows(rows[index]).to(device.torch_device)
        with Aligned(), nullcontext() if of_features else device.autocast():
            part = _fused(model, batch) if of_features else model(batch)
        logits[rows[index[:count]]] = part[:count].float().cpu()
    return logits


def _fused(model: Model, batch: Batch) -> torch.Tensor:
    assert not isinstance(model, EarlyFusion), "early fusion has no features by modality"
    return model.fuse(batch.values, batch.present, batch.key)
