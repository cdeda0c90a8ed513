"""Heads that a run's fusion is measured by: on the same encoders, but each trained for one set of modalities alone.

An additive head and an interacting one for every set, of which the better on validation data is kept. Encoders stay as
they are and only heads are trained, at the price of seconds.
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from functools import partial

import torch

from umemma.data.batch import Batch
from umemma.models.late_fusion import LateFusion
from umemma.models.unimodal import AnyEncoder, Tower
from umemma.training.context import TrainingContext
from umemma.training.fit import Specialists, Trained, changed_encoders, features_of, late, specialists
from umemma.training.regression import fit_head

HEADS, HEADS_OF_TREES = ("sum_logits", "gated"), ("pool", "pool_residual")
MIN_EPOCHS = 3  # an arm may train less; the yardstick must be hard to beat


def heads(context: TrainingContext) -> Specialists:
    """Train the heads of every set on the context's features; the first way of each is additive."""

    def train_head(head: str, subset: TrainingContext) -> Trained:
        epochs = subset.fuse.epochs
        fuse = subset.fuse.model_copy(
            update={
                "head": head,
                "substitute": "none",
                "substitute_at": "feature",
                "presence": "learn",
                "class_balance": 0.0,
                "epochs": epochs if epochs == "auto" else max(MIN_EPOCHS, epochs),
            }
        )
        torch.manual_seed(context.seed)  # of a head that starts from nothing
        return late(replace(subset, fuse=fuse, title=f"{head} of {'+'.join(subset.modalities)}"), "head", hides=False)

    kinds = HEADS_OF_TREES if context.is_out_of_fold else HEADS  # towers of trees have no linear head to train
    return specialists(context, tuple(partial(train_head, kind) for kind in kinds))


def on_encoders_of(model: LateFusion, context: TrainingContext) -> TrainingContext:
    """Return the context with the model's encoders in place of the towers': their features, and a linear head on each.

    A tower whose encoder the model has as it is stays, with its features: those of trees are out of fold for training samples.
    """
    changed = changed_encoders(deepcopy(model), context)
    features = {split: features_of(changed, context, split) for split in context.media}
    towers = {
        name: _tower(name, changed[name], features, context) if name in changed else tower
        for name, tower in context.towers.items()
    }
    return replace(context, towers=towers, features=features, is_out_of_fold=context.is_out_of_fold and not changed)


def _tower(name: str, encoder: AnyEncoder, features: Mapping[str, Batch], context: TrainingContext) -> Tower:
    """Return the encoder with a linear head solved on the samples that have the modality; it answers at all samples' shares."""
    tower = Tower(encoder, context.num_classes).eval().requires_grad_(False)
    tower.log_prior.copy_(context.log_prior)
    fit_head(tower.head, {split: features[split].only([name]) for split in ("train", "val")}, context)
    return tower
