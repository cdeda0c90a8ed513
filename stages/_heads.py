"""Predictions of the heads that a run is measured by, on file: those of `reference` on the towers, of `heads` on its own encoders."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stages import NAMES, _context, _predictions
from stages._resume import resumable
from umemma.data.manifest import Targets
from umemma.evaluation.failure import ON_OWN
from umemma.evaluation.yardstick import ADDITIVE, SPECIALISTS
from umemma.files import write_json, written_whole
from umemma.models import checkpoint
from umemma.models.late_fusion import LateFusion
from umemma.models.per_pattern import PerPattern
from umemma.parameters import Parameters
from umemma.prediction import predict, predictions
from umemma.prediction.predictions import Predictions
from umemma.training.context import TrainingContext
from umemma.training.fit import fit
from umemma.training.reference import heads, on_encoders_of

Written = tuple[dict[str, Predictions], dict[str, Any]]  # predictions by split, and facts that identify the model


def predicted(
    context: TrainingContext, targets: Targets, settings: Parameters, *, suffix: str = ""
) -> dict[str, Written]:
    """Train specialists and additive ones on the context's features; their arms are named with the `suffix`."""
    trained = heads(context)
    written: dict[str, Written] = {}
    for name, arm, models in (
        ("specialists", SPECIALISTS, trained.best.model),
        ("additive", ADDITIVE, trained.of_way[0]),
    ):
        assert isinstance(models, PerPattern), "a model for every set"
        answers = _predictions.predictions_of(
            models, context, targets, settings.evaluate, features=context.features, by=predict.predict_specialists
        )
        written[name] = answers, {"arm": f"{arm}{suffix}", "budget": None}
    return written


def write(folder: Path, written: Mapping[str, Written], settings: Parameters, targets: Targets) -> None:
    """Write a file for each."""
    common = {"seed": settings.seed, "missing_rate": None, "fingerprint": _context.fingerprint(settings, targets)}
    with written_whole(folder) as temporary:
        write_json(temporary / NAMES, list(written))
        for name, (content, facts) in written.items():
            predictions.write(temporary / f"{name}.safetensors", content, {**common, **facts})


def train_on_own(settings: Parameters, path: Path, folder: Path) -> bool:
    """Train heads on the encoders of the model in `path`: a linear head each, specialists, and the linear heads' product.

    Return False, and write nothing, if it has no features of single modalities.
    """
    model = checkpoint.load(path)
    if not isinstance(model, LateFusion):
        return False
    with resumable("heads", [*_context.inputs(settings), path], settings):
        towers, targets = _context.load(settings)
        context = on_encoders_of(model, towers)
        written = predicted(context, targets, settings, suffix=ON_OWN)
        product = fit("ensemble", context).model
        answers = _predictions.predictions_of(product, context, targets, settings.evaluate, features=context.features)
        written["ensemble"] = answers, {"arm": f"ensemble{ON_OWN}", "budget": None}
        write(folder, written, settings, targets)
    return True
