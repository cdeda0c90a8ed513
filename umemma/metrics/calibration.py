"""Calibration: one temperature, fitted on held-out samples."""

import torch

from umemma.metrics import classification


def temperature(logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """Return the scalar that minimises the cross-entropy of logits divided by it (Guo et al. 2017)."""
    logits = logits.detach().double()
    log_temperature = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([log_temperature], max_iter=50, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        value = classification.loss(logits / log_temperature.exp(), label)
        value.backward()
        return value

    optimiser.step(loss)
    return log_temperature.detach().exp()
