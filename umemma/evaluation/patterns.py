"""Metrics of a model for every set of modalities that a sample may have."""

import torch

from umemma.data.batch import Batch
from umemma.evaluation.robustness import Table
from umemma.missingness import pattern_name
from umemma.models.checkpoint import Model
from umemma.models.device import Device
from umemma.prediction.predict import predict


def evaluate(model: Model, data: Batch, *, device: str | torch.device = "cpu") -> dict[str, dict[str, float]]:
    """Return {set of modalities: number of samples, accuracy, cross-entropy in nats}, the complete set first.

    Each is measured on the samples that have the whole set, with all else hidden. With several labels a sample, F1 too.
    """
    with torch.no_grad():
        example = model.to(device).eval()(data.rows(slice(1)).to(torch.device(device))).cpu()
    predictions = predict(
        model,
        data,
        torch.zeros_like(example[0]),  # for samples that have nothing, which no pattern includes
        group=data.key,
        device=Device(torch.device(device)),
    )
    table = Table(predictions)
    return {
        pattern_name(pattern, table.modalities): {
            "n": int(table.has[pattern].sum()),
            **table.worth(pattern, table.has[pattern]),
            "cross_entropy": table.cross_entropy(pattern),
        }
        for pattern in table.patterns()
    }
