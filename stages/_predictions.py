"""Predictions of a model on both splits that are judged, for `baselines`, `reference` and `evaluate`.

Apart from `_context`, so that a change of the thresholds does not train `fuse` again.
"""

from collections.abc import Callable, Mapping

from umemma.data.batch import Batch
from umemma.data.manifest import Targets
from umemma.evaluation.settings import Evaluate
from umemma.models.checkpoint import Model
from umemma.prediction import predict, thresholds
from umemma.prediction.predictions import Predictions
from umemma.training.samples import Samples


def predictions_of(
    model: Model,
    samples: Samples,
    targets: Targets,
    evaluate: Evaluate,
    *,
    features: Mapping[str, Batch] | None,
    by: Callable[..., Predictions] = predict.predict,
) -> dict[str, Predictions]:
    """Return the predictions on validation and test data, from the towers' cached `features`, or from the media.

    `by`: `predict.predict`, or `predict.predict_specialists`, which asks each set's own model and needs the features.
    """
    predicted = {
        split: by(
            model,
            samples.media[split],
            samples.log_prior,
            group=targets.group[split],
            device=samples.device,
            features=features[split].values if features else None,
        )
        for split in ("val", "test")
    }
    return thresholds.decided(predicted, evaluate.threshold)
