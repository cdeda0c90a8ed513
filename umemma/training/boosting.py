"""Training boosted trees on the pooled columns of all modalities: the arm `trees`.

The settings are those that PhysioNet 2012 (9,590 stays, ten groups of variables, some 750 columns) chose on validation
data; nothing is tuned to a data set but the number of rounds. Training rows are there once as they are and in copies
with modalities hidden, so that the trees meet every pattern: without copies half of the modalities gone costs 2.6
points of average precision there, with them the complete pattern 0.5 points of AUROC at most.
"""

import json
from collections.abc import Mapping
from typing import Any

import torch

from umemma.data.batch import Batch
from umemma.errors import SettingError
from umemma.metrics.classification import nll
from umemma.models.forest import Forest
from umemma.models.heads.pool_residual import Head
from umemma.models.pooling import Pooling
from umemma.models.run_encoders import encode_split
from umemma.models.trees import Trees, side_by_side
from umemma.training.copies import MAX_SAMPLES, HeldOut, with_copies
from umemma.training.samples import Samples

MAX_COLUMNS = 100  # of a text
_MAX_ROWS = 60_000  # with copies: 165,000 in ten classes took more than 20 minutes
_TREES_A_ROUND = 3  # of the residual without copies: 1.5 points of AUPRC on PhysioNet 2012; of many classes too slow
# Of the residual with copies, which must tell sets apart as well: 0.6 points there.
_DEPTH_OF_COPIES, _L2_OF_COPIES = 6, 20.0
_MIN_FAMILIAR = 10  # training samples of a set that has trees without copies
_MIN_WEIGHT = 3.0  # of a leaf: p (1 - p), summed
_MIN_ROUNDS, _MAX_ROUNDS, _PATIENCE = 150, 400, 30
_MAX_NUMBERS = 6e10  # rows x columns x outputs x rounds: two minutes of a processor's time
_LR, _LR_OF_MANY_CLASSES, _MANY_CLASSES = 0.05, 0.1, 4
_MIN_COLUMNS = 20  # of a node; below, trees on few columns would hardly ever meet the one that counts


def trees(samples: Samples) -> Trees:
    """Train on the samples that have any modality, 20,000 at most; the number of rounds is chosen on validation data."""
    poolings = {
        name: Pooling.fit(
            value[samples.media["train"].present[:, m].nonzero().squeeze(1)[:MAX_SAMPLES]], max_columns=MAX_COLUMNS
        ).eval()
        for m, (name, value) in enumerate(samples.media["train"].values.items())
    }
    numbers = sum(pooling.dim for pooling in poolings.values()) * samples.num_classes
    max_rows = int(min(_MAX_ROWS, _MAX_NUMBERS / _MIN_ROUNDS / numbers))
    pooled = {split: pool(poolings, samples.media[split], samples, max_rows) for split in ("train", "val")}
    forest = boost(
        {split: side_by_side(batch.values, batch.present) for split, batch in pooled.items()},
        {split: batch.label for split, batch in pooled.items()},
        {split: samples.log_prior.expand(len(batch), -1) for split, batch in pooled.items()},
        seed=samples.seed,
    )
    return Trees(poolings, forest, samples.log_prior).eval()


def pool(poolings: Mapping[str, Pooling], data: Batch, samples: Samples, max_rows: int) -> Batch:
    """Return the samples that have any modality and their copies, with pooled columns as values."""
    most = min(MAX_SAMPLES, max_rows // 2)  # there is one copy of each at least
    data = data.rows(data.present.any(dim=1).nonzero().squeeze(1)[:most])
    data = data.with_values(encode_split(poolings, data, device=samples.device))
    return with_copies(data, seed=samples.seed, max_rows=max_rows)


@torch.no_grad()
def grow_residual(head: Head, train: HeldOut, val: HeldOut, *, seed: int) -> None:
    """Grow what several modalities together say beyond the pool; nothing, where `val` is not better for it."""
    num_trees = _TREES_A_ROUND if head.residual.num_outputs < _MANY_CLASSES else 1
    if train.copies == 1:
        head.residual = _residual(head, train, val, seed, num_parallel_tree=num_trees)
        return
    head.residual = _residual(head, train, val, seed, max_depth=_DEPTH_OF_COPIES, reg_lambda=_L2_OF_COPIES)
    as_they_are, val_as_is = train.without_copies(), val.without_copies()
    sets, number = as_they_are.visible.unique(dim=0, return_counts=True)
    head.familiar = sets[(number >= _MIN_FAMILIAR) & (sets.sum(dim=1) > 1)]
    head.residual_of_familiar = _residual(head, as_they_are, val_as_is, seed + 1, num_parallel_tree=num_trees)
    if len(head.residual_of_familiar.output) == 0:
        head.familiar = head.familiar[:0]


def _residual(head: Head, train: HeldOut, val: HeldOut, seed: int, **settings: float) -> Forest:
    samples = {"train": train, "val": val}
    several = {split: each.visible.sum(dim=1) > 1 for split, each in samples.items()}
    columns = {split: side_by_side(each.features, each.visible)[several[split]] for split, each in samples.items()}
    start = {split: head.pooled(each.features, each.visible)[several[split]] for split, each in samples.items()}
    label = {split: each.label[several[split]] for split, each in samples.items()}
    nothing = Forest(0, 1, 0, start["train"].shape[1])
    if min(len(value) for value in label.values()) == 0:
        return nothing
    forest = boost(columns, label, start, seed=seed, min_child_weight=_MIN_WEIGHT * train.copies, **settings)
    better = nll(start["val"] + forest(columns["val"]), label["val"]).mean() < nll(start["val"], label["val"]).mean()
    return forest if better else nothing


def boost(
    columns: Mapping[str, torch.Tensor],
    label: Mapping[str, torch.Tensor],
    start: Mapping[str, torch.Tensor],
    *,
    seed: int,
    **settings: float,
) -> Forest:
    """Return trees whose sum, added to `start` (sample, class), gives the logits; all by split `train` and `val`.

    As many rounds as have the lowest cross-entropy on `val`, fewer at most where each reads many numbers; `settings`
    replace those below.
    """
    try:
        import xgboost
    except ImportError as error:
        raise SettingError("boosted trees need xgboost: pip install 'umemma[data]'") from error
    num_classes = start["train"].shape[1]
    is_binary, has_several = num_classes == 2 and label["train"].ndim == 1, label["train"].ndim == 2
    data = {
        split: xgboost.DMatrix(
            columns[split].numpy(),
            label=label[split].float().numpy(),
            base_margin=(start[split][:, 1] - start[split][:, 0] if is_binary else start[split]).numpy(),
            nthread=torch.get_num_threads(),
        )
        for split in ("train", "val")
    }
    objective: dict[str, Any] = (
        {"objective": "binary:logistic", "eval_metric": "logloss"}
        if is_binary or has_several
        else {"objective": "multi:softprob", "eval_metric": "mlogloss", "num_class": num_classes}
    )
    num_rows, num_columns = columns["train"].shape
    num_outputs = 1 if is_binary else num_classes
    affordable = int(_MAX_NUMBERS / max(1, num_rows * num_columns * num_outputs))
    booster = xgboost.train(
        {
            "tree_method": "hist",
            "eta": _LR if num_classes < _MANY_CLASSES else _LR_OF_MANY_CLASSES,
            "max_depth": 4,
            "max_bin": 64,  # no worse on PhysioNet 2012 than 256, in two thirds of the time
            "colsample_bynode": min(1.0, max(0.2, _MIN_COLUMNS / num_columns)),
            "subsample": 0.7,
            "reg_lambda": 5.0,
            "min_child_weight": _MIN_WEIGHT,
            "seed": seed,
            "nthread": torch.get_num_threads(),
            "verbosity": 0,
            **objective,
            **settings,
        },
        data["train"],
        min(_MAX_ROUNDS, max(_MIN_ROUNDS, affordable)),
        evals=[(data["val"], "val")],
        early_stopping_rounds=_PATIENCE,
        verbose_eval=False,
    )
    model = json.loads(booster[: booster.best_iteration + 1].save_raw("json"))["learner"]["gradient_booster"]["model"]
    output = [1] * len(model["trees"]) if is_binary else model["tree_info"]
    return Forest.of_xgboost(model["trees"], output, num_classes)
