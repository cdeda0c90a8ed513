"""The model of an arm that trains encoders -> heads of every kind on these encoders (data/heads), what `reference` has of the towers.

So its failure, too, can be split into that of the encoders, of the family of heads, and of the adaptation. Of arms that
leave the towers as they are `reference` says all, and early fusion has no features of one modality: nothing is written.
"""

from pathlib import Path

from stages import _context, _heads, _predictions, run
from stages._resume import resumable
from umemma import parameters
from umemma.evaluation.failure import ON_OWN, ON_TOWERS
from umemma.models import checkpoint
from umemma.models.late_fusion import LateFusion
from umemma.parameters import Parameters
from umemma.training.fit import fit
from umemma.training.reference import on_encoders_of

MODEL, FOLDER = Path("data/model/model.safetensors"), Path("data/heads")


def main() -> None:
    """Train them, from where a killed run was; write their predictions on validation and test data."""
    settings = parameters.read()
    model = None if settings.arm in ON_TOWERS else checkpoint.load(MODEL)
    if not isinstance(model, LateFusion):
        _heads.write_none(FOLDER)
        return
    with resumable("heads", [*_context.inputs(settings), MODEL], settings):
        train(model, settings)


def train(model: LateFusion, settings: Parameters) -> None:
    """Train a linear head for each encoder, then specialists; write their predictions, and those of the linear heads' product."""
    towers, targets = _context.load(settings)
    context = on_encoders_of(model, towers)
    written = _heads.predicted(context, targets, settings, suffix=ON_OWN)
    product = fit("ensemble", context).model
    answers = _predictions.predictions_of(product, context, targets, settings.evaluate, features=context.features)
    written["ensemble"] = answers, {"arm": f"ensemble{ON_OWN}", "budget": None}
    _heads.write(FOLDER, written, settings, targets)


if __name__ == "__main__":
    run(main)
