"""How good a model is with every set of modalities that a sample may come with."""

from contextlib import nullcontext

import torch

from umemma.data.batch import Batch
from umemma.evaluation.robustness import Table
from umemma.missingness import pattern_name
from umemma.models.checkpoint import Model
from umemma.prediction.predict import predict


def evaluate(
    model: Model, data: Batch, *, batch_size: int = 500, device: str | torch.device = "cpu"
) -> dict[str, dict[str, float]]:
    """Return {set of modalities: how many samples have it, accuracy, cross-entropy in nats}, the whole set first.

    Each is of the samples that have all of the set, with everything else hidden. With several labels a sample, F1 too.
    """
    with torch.no_grad():
        one_answer = model.to(device).eval()(data.rows(slice(1)).to(torch.device(device))).cpu()
    answers = predict(
        model,
        data,
        torch.zeros_like(one_answer[0]),  # for a sample that has nothing, which no pattern counts
        group=data.key,
        batch_size=batch_size,
        device=torch.device(device),
        autocast=nullcontext,
    )
    table = Table(answers)
    return {
        pattern_name(pattern, table.modalities): {
            "n": int(table.has[pattern].sum()),
            **table.worth(pattern, table.has[pattern]),
            "cross_entropy": table.cross_entropy(pattern),
        }
        for pattern in table.patterns()
    }
