"""Predictions of a model on both splits that are judged, for `reference` and `evaluate`.

Apart from `_context`, so that a change of the thresholds does not train `fuse` again.
"""

from collections.abc import Callable

from umemma.data.manifest import Targets
from umemma.evaluation.settings import Evaluate
from umemma.models.checkpoint import Model
from umemma.prediction import predict, thresholds
from umemma.prediction.predictions import Predictions
from umemma.training.context import TrainingContext


def predictions_of(
    model: Model,
    context: TrainingContext,
    targets: Targets,
    evaluate: Evaluate,
    *,
    on_features: bool,
    by: Callable[..., Predictions] = predict.predict,
) -> dict[str, Predictions]:
    """Return the predictions on validation and test data, from the towers' cached features or from the media.

    `by`: `predict.predict`, or `predict.predict_specialists`, which asks each set's own model and needs the features.
    """
    predicted = {
        split: by(
            model,
            context.media[split],
            context.log_prior,
            group=targets.group[split],
            device=context.device,
            features=context.features[split].values if on_features else None,
        )
        for split in ("val", "test")
    }
    return thresholds.decided(predicted, evaluate.threshold)
