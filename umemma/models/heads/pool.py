"""A log-opinion pool of the towers, fitted on held-out answers over copies with modalities hidden.

    log p(y | x_S) = log p(y) + sum_{m in S} w_m(S) (log p_m(y | x_m) - log p(y)) + b(S) + const,  w_m(S) >= 0

(Genest & Zidek 1986). The product of experts has w = 1: it counts twice what two towers both know, and one overconfident
tower spoils the rest. Here a tower's share p_m(S) is a softmax over the towers present, and

    w_m(S) = p_m(S) n(S)^r,  n(S) = 1 / sum_m p_m(S)^2,  b(S) = (|S| - 1) sum_m p_m(S) b_m

where n(S) is the number of towers that count and r how independent they are: 1 makes equal towers a product, 0 their
mean. One weight for a tower whatever the others are would not do: a weak tower, of no use beside strong ones, is what
there is when they are gone. A single visible modality is answered exactly as its calibrated tower does.
"""

from collections.abc import Mapping

import torch
from torch import nn

from umemma.metrics import objective

# Nats for a difference of 1: what held-out samples must outweigh. Chosen on synthetic towers, 2 to 10 of them, of unequal
# strength and confidence, that share errors, with 60 to 1,200 samples.
_TO_EQUAL_SHARES, _TO_NO_BIAS, _TO_PRODUCT = 0.2, 8.0, 2.0


class Head(nn.Module):
    """{modality: (batch, dim)}, visible (batch, modality) -> logits (batch, class).

    `share` (modality,), before the softmax; `bias` (modality, class); `independence`, a scalar.
    """

    log_prior: torch.Tensor
    share: torch.Tensor
    bias: torch.Tensor
    independence: torch.Tensor

    def __init__(self, towers: Mapping[str, nn.Linear], log_prior: torch.Tensor) -> None:
        """`towers`: each tower's calibrated linear head; `log_prior` (class,): log class shares in the training set."""
        super().__init__()
        self.experts = nn.ModuleDict(towers).requires_grad_(False)
        self.register_buffer("log_prior", log_prior)
        self.register_buffer("share", torch.zeros(len(towers)))
        self.register_buffer("bias", torch.zeros(len(towers), len(log_prior)))
        self.register_buffer("independence", torch.ones(()))

    def forward(self, features: Mapping[str, torch.Tensor], visible: torch.Tensor) -> torch.Tensor:
        """Return unnormalised log-probabilities."""
        return self.pooled(features, visible)

    def pooled(self, features: Mapping[str, torch.Tensor], visible: torch.Tensor) -> torch.Tensor:
        """Return the pool's logits."""
        evidence = self._evidence(features, visible)
        return _pooled(evidence, visible, self.share, self.bias, self.independence) + self.log_prior

    def fit(
        self, features: Mapping[str, torch.Tensor], visible: torch.Tensor, label: torch.Tensor, copies: float
    ) -> None:
        """Fit to samples that no tower was trained on, of which each is there `copies` times.

        Shrunk to a product of equal shares without bias: the fewer samples there are, the nearer the pool is to that.
        Of some fifty samples that are all right, certainty without bound would be the best fit.
        """
        several = visible.sum(dim=1) > 1
        if not several.any():
            return
        evidence = self._evidence({name: value[several] for name, value in features.items()}, visible[several])
        evidence, visible, label = evidence.double(), visible[several], label[several]
        share, bias, independence = (
            value.double().clone().requires_grad_() for value in (self.share, self.bias, self.independence)
        )
        optimiser = torch.optim.LBFGS([share, bias, independence], max_iter=200, line_search_fn="strong_wolfe")
        num_variables = label.shape[1] if label.ndim == 2 else 1

        def loss() -> torch.Tensor:
            optimiser.zero_grad()
            logits = _pooled(evidence, visible, share, bias, independence) + self.log_prior
            nats = objective.loss(logits, label) * num_variables * len(label) / copies
            shrunk = share.square().sum() * _TO_EQUAL_SHARES + bias.square().sum() * _TO_NO_BIAS
            value = nats + shrunk + (independence - 1).square() * _TO_PRODUCT
            value.backward()
            return value

        optimiser.step(loss)
        for name, value in (("share", share), ("bias", bias), ("independence", independence)):
            getattr(self, name).copy_(value.detach())

    def _evidence(self, features: Mapping[str, torch.Tensor], visible: torch.Tensor) -> torch.Tensor:
        """Return (batch, modality, class): what each tower says beyond the prior, 0 where it is not visible."""
        logits = torch.stack([expert(features[name]) for name, expert in self.experts.items()], dim=1)
        return torch.where(visible[:, :, None], logits - self.log_prior, 0.0)


def _pooled(
    evidence: torch.Tensor, visible: torch.Tensor, share: torch.Tensor, bias: torch.Tensor, independence: torch.Tensor
) -> torch.Tensor:
    """Return (batch, class): the evidence of all towers together."""
    hidden = ~visible
    p = share.expand(visible.shape).masked_fill(hidden, -1e9).softmax(dim=1).masked_fill(hidden, 0.0)
    squares = p.square().sum(dim=1, keepdim=True)
    # Of no tower, 1: zero times a power that overflows would be NaN.
    number = 1 / torch.where(squares > 0, squares, 1.0)
    weight = p * number**independence
    others = (visible.sum(dim=1, keepdim=True) - 1).clamp_min(0)
    return (weight[:, :, None] * evidence).sum(dim=1) + (others * p) @ bias
