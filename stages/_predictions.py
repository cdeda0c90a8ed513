"""Predictions of a model on both splits that are judged, for `reference` and `evaluate`.

Apart from `_context`, so that a change of the thresholds does not train `fuse` again.
"""

from umemma.data.manifest import Targets
from umemma.evaluation.settings import Evaluate
from umemma.models.checkpoint import Model
from umemma.models.per_pattern import PerPattern
from umemma.prediction import predict, thresholds
from umemma.prediction.predictions import Predictions
from umemma.training.context import TrainingContext

_SPLITS = ("val", "test")


def predictions_of(
    model: Model, context: TrainingContext, targets: Targets, evaluate: Evaluate, *, on_features: bool
) -> dict[str, Predictions]:
    """Return the predictions on validation and test data, from the towers' cached features or from the media."""
    predicted = {
        split: predict.predict(
            model,
            context.media[split],
            context.log_prior,
            group=targets.group[split],
            device=context.device,
            features=context.features[split].values if on_features else None,
        )
        for split in _SPLITS
    }
    return thresholds.decided(predicted, evaluate.threshold)


def predictions_of_specialists(
    model: PerPattern, context: TrainingContext, targets: Targets, evaluate: Evaluate
) -> dict[str, Predictions]:
    """Return the predictions of each set's own model on validation and test data, from the towers' cached features."""
    predicted = {
        split: predict.predict_specialists(
            model,
            context.media[split],
            context.log_prior,
            group=targets.group[split],
            device=context.device,
            features=context.features[split].values,
        )
        for split in _SPLITS
    }
    return thresholds.decided(predicted, evaluate.threshold)
