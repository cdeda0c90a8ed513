"""Training a regularised logistic regression on each modality's pooled columns: the arm `linear`."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from umemma.data.batch import Batch
from umemma.metrics.calibration import temperature
from umemma.metrics.classification import nll
from umemma.metrics.objective import log_prior
from umemma.models.linear_columns import LinearColumns
from umemma.models.linear_experts import Expert, LinearExperts
from umemma.models.pooling import Pooling
from umemma.models.unimodal import Encoder, Tower
from umemma.training.average import state
from umemma.training.copies import MAX_SAMPLES
from umemma.training.loop import Curve, kept
from umemma.training.samples import Samples

_MAX_COLUMNS = 10_000  # of a text: all of its words
_STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0, 10.0)  # C of scikit-learn, of standardised columns: from strong to weak
_ROWS_AT_ONCE = 32  # pooled columns of pictures stay in the processor's cache: 2.5 times as fast as 500
_DENSE = 0.2  # share of numbers other than 0


@torch.no_grad()
def fit_tower(tower: Tower, data: Batch, validate: Callable[[], dict[str, float]]) -> Curve:
    """Solve a tower whose encoder is linear in fixed columns (`LinearColumns`), for several strengths of its L2 penalty.

    `data` has the tower's modality alone, in every sample. Returns a row for each strength, from strong to weak until
    validation gets worse; the tower has the solution of the row `kept`.
    """
    from scipy.sparse import csr_matrix, vstack

    encoder, device = tower.encoder, tower.head.weight.device
    assert isinstance(encoder, Encoder)
    body = encoder.body
    assert isinstance(body, LinearColumns)
    (value,) = data.values.values()
    columns = [encoder.columns(part.to(device)).cpu().numpy() for part in value[:MAX_SAMPLES].split(_ROWS_AT_ONCE)]
    is_sparse = (columns[0] != 0).mean() < _DENSE
    x = vstack([csr_matrix(part) for part in columns]) if is_sparse else np.concatenate(columns)
    curve: Curve = []
    best = state(tower)
    for number, (weight, bias) in enumerate(_solutions(x, data.label[:MAX_SAMPLES], tower.log_prior.cpu()), start=1):
        body.take(weight, bias, tower.head)
        row = {"epoch": number, "step": number, "samples_seen": number * x.shape[0]} | validate()
        curve.append({key: round(score, 6) if isinstance(score, float) else score for key, score in row.items()})
        if kept(curve) is not curve[-1]:
            break
        best = state(tower)
    tower.load_state_dict(best)
    return curve


def linear(samples: Samples) -> LinearExperts:
    """Train an expert for each modality on the samples that have it."""
    experts = {
        name: _expert(name, {split: samples.media[split].only([name]) for split in ("train", "val")}, samples)
        for name in samples.modalities
    }
    return LinearExperts(experts, samples.log_prior).eval()


def fit_head(head: nn.Linear, features: Mapping[str, Batch], samples: Samples) -> None:
    """Solve a linear head, (sample, dim) -> calibrated logits at all samples' class shares.

    `features` {split: Batch} of `train` and `val` have one modality; samples that lack it are left out.
    """
    (name,) = features["train"].modalities
    expert = _expert(name, features, samples)
    weight = expert.linear.weight / expert.std
    with torch.no_grad():
        head.weight.copy_(weight)
        head.bias.copy_(expert.linear.bias - weight @ expert.mean)


def _expert(name: str, data: Mapping[str, Batch], samples: Samples) -> Expert:
    """Fit for each C until validation cross-entropy gets worse, keep the best, and calibrate it there."""
    rows = {split: batch.present[:, 0].nonzero().squeeze(1)[:MAX_SAMPLES] for split, batch in data.items()}
    label = {split: batch.label[rows[split]] for split, batch in data.items()}
    values = {split: batch.values[name][rows[split]] for split, batch in data.items()}
    pooling = Pooling.fit(values["train"], max_columns=_MAX_COLUMNS).eval()
    columns = {
        split: torch.cat([pooling(part) for part in value.split(_ROWS_AT_ONCE)]) for split, value in values.items()
    }
    expert = Expert(pooling, samples.num_classes, has_gaps=bool(columns["train"].isnan().any())).eval()
    if pooling.kind != "words":  # of these the length is one, and most are zero
        _fit_scale(expert, columns["train"])
    taken = {split: expert.standardised(value) for split, value in columns.items()}
    best: tuple[float, Any, torch.Tensor] | None = None
    prior = log_prior(data["train"].label[data["train"].present[:, 0]], samples.num_classes)
    for weight, bias in _solutions(taken["train"].numpy(), label["train"], prior):
        logits = nn.functional.linear(taken["val"], weight, bias)
        cross_entropy = nll(logits, label["val"]).mean().item()
        if best is not None and cross_entropy >= best[0]:
            break  # each weaker penalty takes longer
        best = cross_entropy, (weight, bias), logits
    assert best is not None, "at least one C was tried"
    (weight, bias), scale = best[1], temperature(best[2], label["val"])
    expert.linear.weight.copy_(weight / scale)
    expert.linear.bias.copy_(bias / scale + samples.log_prior - prior)  # see Tower.calibrated_head
    return expert


def _fit_scale(expert: Expert, columns: torch.Tensor) -> None:
    """Take mean and standard deviation of what was measured; a constant column is not divided."""
    measured = columns.isfinite()
    number = measured.sum(dim=0).clamp_min(1)
    mean = torch.where(measured, columns.double(), 0.0).sum(dim=0) / number
    variance = torch.where(measured, (columns - mean).square(), 0.0).sum(dim=0) / number
    expert.mean.copy_(mean)
    expert.std.copy_(torch.where(variance > 1e-12, variance.sqrt(), 1.0))


def _solutions(
    columns: Any, label: torch.Tensor, log_prior: torch.Tensor
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield (weight (class, column), bias (class,)) for each C, each starting from the one before.

    `columns` (sample, column) may be sparse. `log_prior` (class,) is what is known of a class without a sample.
    """
    from scipy.sparse import csr_matrix, issparse
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    x = columns if issparse(columns) or (columns != 0).mean() >= _DENSE else csr_matrix(columns)
    targets = [label[:, k].numpy() for k in range(label.shape[1])] if label.ndim == 2 else [label.numpy()]
    models = [LogisticRegression(max_iter=300, tol=1e-5, warm_start=True) for _ in targets]
    for strength in _STRENGTHS:
        weight = torch.zeros(len(log_prior), columns.shape[1])
        bias = log_prior.clone()
        for number, (model, target) in enumerate(zip(models, targets, strict=True)):
            if len(np.unique(target)) < 2:
                continue
            # Products as small as these are fastest in one thread; beside other work two needed 10 times as long.
            # Stopping early regularises, and the best C is chosen on validation data.
            with threadpool_limits(1, user_api="blas"), warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                model.set_params(C=strength).fit(x, target)
            coefficients, intercept = torch.from_numpy(model.coef_).float(), torch.from_numpy(model.intercept_).float()
            if label.ndim == 2:
                weight[number], bias[number] = coefficients[0], intercept[0]
            elif len(model.classes_) == 2:
                classes = torch.from_numpy(model.classes_)
                weight[classes] = torch.cat([-coefficients, coefficients]) / 2
                bias[classes] = torch.cat([-intercept, intercept]) / 2
            else:
                weight[torch.from_numpy(model.classes_)] = coefficients
                bias[torch.from_numpy(model.classes_)] = intercept
        yield weight, bias
