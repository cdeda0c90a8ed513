"""Towers -> the specialists that every run is measured by (data/reference).

A specialist is trained for exactly one set of modalities, on all samples with what each has of it, and measured on test
samples in the same way; so are the additive ones alone.

All at the price of seconds, whatever the run's arm: towers stay frozen and only heads are trained, an additive one and
an interacting one, of which the better on validation data is kept. Specialists whose towers are trained, too, are the
arm `specialist`.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from stages import _context, _predictions, run
from stages._resume import resumable
from umemma import parameters
from umemma.evaluation.yardstick import ADDITIVE, SPECIALISTS
from umemma.files import written_whole
from umemma.models.per_pattern import PerPattern
from umemma.parameters import Parameters
from umemma.prediction import predict, predictions
from umemma.prediction.predictions import Predictions
from umemma.training.context import TrainingContext
from umemma.training.fit import Specialists, Trained, late, specialists

HEADS, HEADS_OF_TREES = ("sum_logits", "gated"), ("pool", "pool_residual")
Written = tuple[dict[str, Predictions], dict[str, Any]]  # predictions by split, and facts that identify the model
MIN_EPOCHS = 3  # an arm may train less; the yardstick must be hard to beat


def reference(context: TrainingContext) -> Specialists:
    """Train the heads of every set on the towers' cached features; the first way of each is additive."""

    def train_head(head: str, subset: TrainingContext) -> Trained:
        epochs = subset.fuse.epochs
        fuse = subset.fuse.model_copy(
            update={
                "head": head,
                "substitute": "none",
                "substitute_at": "feature",
                "epochs": epochs if epochs == "auto" else max(MIN_EPOCHS, epochs),
            }
        )
        return late(replace(subset, fuse=fuse), "head", hides=False)

    heads = HEADS_OF_TREES if context.is_out_of_fold else HEADS  # towers of trees have no linear head to train
    return specialists(context, tuple(partial(train_head, head) for head in heads))


def main() -> None:
    """Train, from where a killed run was."""
    settings = parameters.read()
    with resumable("reference", _context.inputs(settings), settings):
        train(settings)


def train(settings: Parameters) -> None:
    """Train specialists; write their predictions on validation and test data."""
    context, targets = _context.load(settings)
    trained = reference(context)
    written: dict[str, Written] = {}
    for name, arm, models in (
        ("specialists", SPECIALISTS, trained.best.model),
        ("additive", ADDITIVE, trained.of_way[0]),
    ):
        assert isinstance(models, PerPattern), "a model for every set"
        predicted = _predictions.predictions_of(
            models, context, targets, settings.evaluate, features=context.features, by=predict.predict_specialists
        )
        written[name] = predicted, {"arm": arm, "budget": None}
    common = {"seed": settings.seed, "missing_rate": None, "fingerprint": _context.fingerprint(settings, targets)}
    with written_whole(Path("data/reference")) as temporary:
        for name, (content, facts) in written.items():
            predictions.write(temporary / f"{name}.safetensors", content, {**common, **facts})


if __name__ == "__main__":
    run(main)
