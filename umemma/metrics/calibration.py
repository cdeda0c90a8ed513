"""How sure a model is against how sure it should be: one temperature, from held-out samples."""

import torch

from umemma.metrics import classification


def temperature(logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """Return the scalar by which logits are divided for the least cross-entropy (Guo et al. 2017)."""
    logits = logits.detach().double()
    log_temperature = torch.zeros((), dtype=torch.float64, requires_grad=True)
    search = torch.optim.LBFGS([log_temperature], max_iter=50, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        search.zero_grad()
        value = classification.loss(logits / log_temperature.exp(), label)
        value.backward()
        return value

    search.step(loss)
    return log_temperature.detach().exp()
