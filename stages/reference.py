"""Towers and arrays -> what every run is measured by (data/reference): specialists, and the baselines of a sceptic.

A specialist is trained on exactly one set of modalities; the baselines `linear` and `trees` need no encoder.

All at the price of seconds, whatever the run's arm: towers stay frozen and only heads are trained, an additive one and
an interacting one, of which the better on validation data is kept. Specialists whose towers are trained, too, are the
arm `specialist`.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path

from stages import _context, _predictions, run
from umemma import parameters
from umemma.files import written_whole
from umemma.prediction import predictions
from umemma.training.arms import BASELINES
from umemma.training.context import TrainingContext
from umemma.training.fit import Trained, fit, late, specialists

HEADS, HEADS_OF_TREES = ("sum_logits", "gated"), ("pool", "pool_residual")
MIN_EPOCHS = 3  # an arm may train less; the yardstick must be hard to beat


def reference(context: TrainingContext) -> Trained:
    """Train the heads of every set on the towers' cached features."""

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
    """Train specialists and baselines; write their predictions on validation and test data."""
    settings = parameters.read()
    context, targets = _context.load(settings)
    trained: dict[str, Trained] = {"specialists": reference(context)}
    trained |= {name: fit(name, context) for name in BASELINES}
    common = {"seed": settings.seed, "missing_rate": None, "fingerprint": _context.fingerprint(settings, targets)}
    with written_whole(Path("data/reference")) as temporary:
        for name, each in trained.items():
            are_specialists = name == "specialists"
            predicted = _predictions.predictions_of(
                each.model,
                context,
                targets,
                settings.evaluate,
                on_features=are_specialists,
                batch_size=10_000 if are_specialists else None,
            )
            facts = (
                {"arm": "frozen specialist", "budget": None}
                if are_specialists
                else {"arm": name, "budget": each.samples_seen}
            )
            predictions.write(temporary / f"{name}.safetensors", predicted, {**common, **facts})


if __name__ == "__main__":
    run(main)
