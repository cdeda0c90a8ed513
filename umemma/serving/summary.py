"""What is kept of an array so that its modality can be watched: a few numbers that do not tell what it shows.

Statistics of the decoded values, not features of a tower: they need no model, so a log costs no second pass and stays
comparable when the model changes; every arm has them; and a person can read them: a darker picture has a lower mean, a
dead microphone no spread, a shorter text more zeros. What changes without moving any of them is left to the answers.
"""

import torch

STATISTICS = ("mean", "spread", "roughness", "peak", "zeros")
_ROWS_AT_ONCE = 256


def columns(modality: str) -> list[str]:
    """Return the names of a modality's columns in a log."""
    return [f"summary {modality} {statistic}" for statistic in STATISTICS]


def summaries(values: torch.Tensor) -> torch.Tensor:
    """Return (sample, statistic) float64 of arrays (sample, ...), in the order of `STATISTICS`.

    mean, standard deviation, mean difference of neighbours along the last axis, largest absolute value, and the share
    that is zero or, as NaN, was not measured. What has no measured value has zeros.
    """
    parts = [_summaries(part) for part in values.split(_ROWS_AT_ONCE)]
    return torch.cat(parts) if parts else torch.zeros(0, len(STATISTICS), dtype=torch.float64)


def _summaries(values: torch.Tensor) -> torch.Tensor:
    value = values.double().reshape(len(values), -1, values.shape[-1] if values.ndim > 1 else 1)
    steps = (value[:, :, 1:] - value[:, :, :-1]).abs().flatten(1)
    value = value.flatten(1)
    mean = value.nanmean(dim=1, keepdim=True)
    statistics = (
        mean.squeeze(1),
        (value - mean).square().nanmean(dim=1).sqrt(),
        steps.nanmean(dim=1),
        value.abs().nan_to_num(0.0).amax(dim=1),
        ((value == 0) | value.isnan()).double().mean(dim=1),
    )
    return torch.stack(statistics, dim=1).nan_to_num(0.0)
