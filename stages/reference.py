"""Towers -> a specialist for every set of modalities, trained on exactly that set (data/reference).

The yardstick of every run, whatever its arm, at the price of seconds: towers stay frozen and only heads are trained, an
additive one and an interacting one, of which the better on validation data is kept. Specialists whose towers are
trained, too, are the arm `specialist`.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path

from stages import _context, run
from umemma import parameters
from umemma.files import written_whole
from umemma.prediction import predict, predictions, thresholds
from umemma.training.context import TrainingContext
from umemma.training.fit import Trained, late, specialists

HEADS = ("sum_logits", "gated")
MIN_EPOCHS = 3  # an arm may train less; the yardstick must be hard to beat


def reference(context: TrainingContext) -> Trained:
    """Train the heads of every set on the towers' cached features."""

    def train_head(head: str, subset: TrainingContext) -> Trained:
        fuse = subset.fuse.model_copy(
            update={
                "head": head,
                "substitute": "none",
                "substitute_at": "feature",
                "epochs": max(MIN_EPOCHS, subset.fuse.epochs),
            }
        )
        return late(replace(subset, fuse=fuse), "head", hides=False)

    return specialists(context, tuple(partial(train_head, head) for head in HEADS))


def main() -> None:
    """Train the specialists and write their predictions on validation and test data."""
    settings = parameters.read()
    context, targets = _context.load(settings)
    trained = reference(context)
    predicted = {
        split: predict.predict(
            trained.model,
            context.media[split],
            context.log_prior,
            group=targets.group[split],
            batch_size=10_000,
            device=context.device,
            features=context.features[split].values,
        )
        for split in ("val", "test")
    }
    with written_whole(Path("data/reference")) as temporary:
        decided = thresholds.decided(predicted, settings.evaluate.threshold)
        predictions.write(
            temporary / "specialists.safetensors",
            decided,
            {
                "arm": "frozen specialist",
                "seed": settings.seed,
                "missing_rate": None,
                "budget": None,
                "fingerprint": _context.fingerprint(settings, targets),
            },
        )


if __name__ == "__main__":
    run(main)
