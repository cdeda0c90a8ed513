"""The leak audit: the values of a missing modality must not affect a model's logits, nor have a gradient.

Every missing value is replaced by NaN, by infinity and by another sample's; the logits must stay bit-identical.
"""

from collections.abc import Callable

import torch

from umemma.data.batch import Batch
from umemma.missingness import panel, pattern_name

Forward = Callable[[Batch], torch.Tensor]


def audit(forward: Forward, batch: Batch) -> tuple[int, list[str]]:
    """Run the model under every pattern with missing values replaced; return the number of comparisons and the leaks.

    The model is in inference mode (`eval`): randomness in training would look like a leak. Values are converted to
    floating point, since an integer cannot be NaN.
    """
    batch = batch.with_values({name: value.float() for name, value in batch.values.items()})
    checked, failures = 0, []
    for pattern in panel(len(batch.modalities)):
        seen = batch.with_present(batch.present & torch.tensor(pattern, device=batch.present.device))
        name = pattern_name(pattern, batch.modalities)
        with torch.no_grad():
            clean = forward(seen)
            for poison_name, poison in _POISONS.items():
                checked += 1
                if not torch.equal(forward(_poisoned(seen, poison)), clean):
                    failures.append(f"{name}: {poison_name} in a missing modality moves the logits")
        checked += 1
        failures += [f"{name}: {modality} is missing, but has a gradient" for modality in _with_gradient(forward, seen)]
    return checked, failures


def _with_gradient(forward: Forward, batch: Batch) -> list[str]:
    """Return the modalities whose missing rows have a gradient that is not exactly zero."""
    values = {name: value.clone().requires_grad_() for name, value in batch.values.items()}
    with torch.enable_grad():
        total = forward(batch.with_values(values)).logsumexp(dim=1).sum()
        if not total.requires_grad:  # trees have no gradient at all
            return []
        gradients = torch.autograd.grad(total, list(values.values()), allow_unused=True)
    return [
        name
        for m, (name, gradient) in enumerate(zip(values, gradients, strict=True))
        if gradient is not None and gradient[~batch.present[:, m]].any()
    ]


def _constant(value: float) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda rows: torch.full_like(rows, value)


_POISONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "NaN": _constant(float("nan")),
    "infinity": _constant(float("inf")),
    "another sample": lambda rows: rows.roll(1, dims=0),
}


def _poisoned(batch: Batch, poison: Callable[[torch.Tensor], torch.Tensor]) -> Batch:
    values = {}
    for m, (name, value) in enumerate(batch.values.items()):
        is_present = batch.present[:, m].reshape(-1, *[1] * (value.ndim - 1))
        values[name] = torch.where(is_present, value, poison(value))
    return batch.with_values(values)
