"""Run a model once on every sample under every pattern (of many modalities, under those of `missingness.panel`)."""

from collections.abc import Mapping

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
) -> Predictions:
    """Return the model's predictions in inference mode; a sample with nothing left gets `log_prior` (class,).

    A model of parts by modality encodes each sample once, or never if its `features` {modality: (sample, dim)} are given, as they
    may also be for a per-pattern model of such models; only the head runs for every pattern. Any other model is run in full
    for every pattern.
    """
    was_training = model.training
    model.to(device.torch_device).eval()
    if features is None and not isinstance(model, EarlyFusion | PerPattern):
        features = encode_split(model.parts(), data, batch_size=batch_size, device=device)
    if features is not None:
        data = data.with_values(features)
    logits: dict[Pattern, torch.Tensor] = {}
    for pattern in panel(len(data.modalities)):
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
