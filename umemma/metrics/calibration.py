"""Calibration: a temperature fitted on held-out samples, and how far confidence is from accuracy, bin by bin."""

from typing import Any

import torch

from umemma.metrics import objective
from umemma.metrics.classification import is_correct

_MAX_TEMPERATURE = 1e4  # the prior alone, but for rounding; JSON knows no infinity
NUM_BINS = 15  # equal-width, as Guo et al. 2017 (arXiv 1706.04599)


def temperature(logits: torch.Tensor, label: torch.Tensor, log_prior: torch.Tensor | None = None) -> torch.Tensor:
    """Return the scalar by which to divide what the logits say beyond `log_prior`, see `tempered`, on held-out samples.

    It minimises cross-entropy (Guo et al. 2017), with a normal prior of mean 0 and standard deviation 1 on its logarithm:
    thirty samples that are all predicted rightly do not make a model certain. Never is what results worse than
    `log_prior` itself on these samples.
    """
    logits = logits.detach().double()
    prior = torch.zeros(logits.shape[1], dtype=torch.float64) if log_prior is None else log_prior.double()
    log_temperature = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([log_temperature], max_iter=50, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        value = objective.loss(tempered(logits, log_temperature.exp(), prior), label)
        value = value + log_temperature.square() / (2 * label.numel())
        value.backward()
        return value

    optimiser.step(loss)
    found = log_temperature.detach().exp().clamp(1 / _MAX_TEMPERATURE, _MAX_TEMPERATURE)
    of_prior = objective.loss(prior.expand_as(logits), label)
    is_worse = objective.loss(tempered(logits, found, prior), label) > of_prior
    return torch.full_like(found, _MAX_TEMPERATURE) if is_worse else found


def tempered(logits: torch.Tensor, temperature: torch.Tensor, log_prior: torch.Tensor) -> torch.Tensor:
    """Return logits whose difference from `log_prior` is divided by the temperature: at infinity the prior is left.

    Where all classes are as likely this is division by the temperature. Elsewhere that would forget the prior as well:
    a model of noise would call a rare class as likely as any other.
    """
    return log_prior + (logits - log_prior) / temperature


def calibration_counts(logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """Return (sample, bin, 3) float64: in the bin of the prediction's confidence 1, the confidence, and is it correct?

    Confidence is the probability of the predicted class; with several labels, of the prediction for each class. A bin
    includes its upper edge, not its lower one.
    """
    if label.ndim == 2:
        positive = logits.double().sigmoid()
        confidence = torch.maximum(positive, 1 - positive)
    else:
        confidence = logits.double().softmax(dim=1).amax(dim=1, keepdim=True)
    bins = ((confidence * NUM_BINS).ceil().long() - 1).clamp(0, NUM_BINS - 1)
    values = torch.stack([torch.ones_like(confidence), confidence, is_correct(logits, label).double()], dim=2)
    counts = values.new_zeros(len(values), NUM_BINS, 3)
    return counts.scatter_add_(1, bins[:, :, None].expand_as(values), values)


def calibration_error(counts: torch.Tensor) -> torch.Tensor:
    """Return (...) from sums of `calibration_counts`, (..., bin, 3): expected calibration error (Guo et al. 2017).

    The mean over samples of the gap between confidence and accuracy in their bin. Noise does not cancel in an absolute
    gap, so it is above zero even for a perfect model, the more so the fewer samples there are.
    """
    number, confidence, correct = counts.unbind(dim=-1)
    return (correct - confidence).abs().sum(dim=-1) / number.sum(dim=-1)


def reliability(counts: torch.Tensor) -> list[dict[str, Any]]:
    """Return mean confidence, accuracy and share of the samples of every non-empty bin; `counts`: (bin, 3)."""
    total = counts[:, 0].sum().item()
    return [
        {
            "confidence": round(confidence / number, 6),
            "accuracy": round(correct / number, 6),
            "share": round(number / total, 6),
        }
        for number, confidence, correct in counts.tolist()
        if number > 0
    ]
