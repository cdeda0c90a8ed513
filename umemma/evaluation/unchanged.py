"""Does a model that was grown answer as its base does, to the bit, wherever it has nothing that the base lacks?"""

from collections.abc import Sequence

import torch

from umemma.data.batch import Batch
from umemma.missingness import Pattern, panel
from umemma.models.checkpoint import Model
from umemma.models.device import Device
from umemma.models.late_fusion import LateFusion
from umemma.prediction.predict import predict


def compare(
    model: Model, base: LateFusion, data: Batch, log_prior: torch.Tensor, *, device: Device
) -> tuple[int, list[str]]:
    """Return the number of answers compared, and a sentence for each pattern in which some differ.

    Every pattern of the modalities that both know, over all samples of `data`; what `data` no longer has is missing to
    the base.
    """
    names = [name for name in base.parts() if name in data.modalities]
    patterns = [
        [name for name, is_left in zip(names, pattern, strict=True) if is_left] for pattern in panel(len(names))
    ]
    sides = [
        _answers(network, _seen(data, names, of_it), patterns, log_prior, device)
        for network, of_it in ((model, data.modalities), (base, list(base.parts())))
    ]
    failures = []
    for left, ours, theirs in zip(patterns, *sides, strict=True):
        if differ := int((ours != theirs).any(dim=1).sum()):
            failures.append(f"{'+'.join(left)}: {differ:,} of {len(data):,} answers differ")
    return len(data) * len(patterns), failures


def _answers(
    model: Model, data: Batch, patterns: Sequence[Sequence[str]], log_prior: torch.Tensor, device: Device
) -> list[torch.Tensor]:
    """Return (sample, class) for each pattern, the names of what is left."""
    flags: list[Pattern] = [tuple(name in left for name in data.modalities) for left in patterns]
    predicted = predict(model, data, log_prior, group=data.key, device=device, patterns=flags)
    return [predicted.logits[pattern] for pattern in flags]


def _seen(data: Batch, known: Sequence[str], names: Sequence[str]) -> Batch:
    """Return the modalities `names` of the samples, of which those not `known` are missing from all."""
    absent = torch.zeros(len(data), dtype=torch.bool)
    values = {name: data.values[name] if name in known else torch.zeros(len(data), 1) for name in names}
    present = [data.present[:, data.modalities.index(name)] if name in known else absent for name in names]
    return Batch(values, torch.stack(present, dim=1), data.label, data.key)
