"""Towers -> the model of the chosen arm (data/model), and the masks used in training (data/masks)."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from stages import _context, _ranks
from stages._base import base_files, base_of
from stages._resume import resumable
from umemma import parameters
from umemma.data.batch import Batch
from umemma.files import write_json, written_whole
from umemma.models import checkpoint, safetensors
from umemma.parameters import Parameters
from umemma.reporting import results
from umemma.reporting.results import Masks
from umemma.training import masks
from umemma.training.arms import ARMS
from umemma.training.context import TrainingContext
from umemma.training.fit import Trained, fit
from umemma.training.hiding import Hiding
from umemma.training.settings import ArmName


def fuse(arm: ArmName, context: TrainingContext, folder: Path, classes: list[str]) -> Trained:
    """Train the arm; the first rank writes its model and budget, in training samples seen by an encoder, and how far it moved."""
    trained = fit(arm, context)
    if not context.device.ranks.is_first:
        return trained
    scratch = ARMS[arm].trains == "all from scratch"
    pretrained = {name: 0 if scratch else tower.samples_seen for name, tower in context.towers.items()}
    with written_whole(folder) as temporary:
        checkpoint.save(trained.model, temporary / "model.safetensors", classes=classes)
        write_json(
            temporary / "budget.json",
            {
                "unit": "training samples seen by an encoder",
                "pretrain": pretrained,
                "fuse": trained.samples_seen,
                "total": sum(pretrained.values()) + trained.samples_seen,
                "moved": trained.moved,
            },
        )
    return trained


def write_masks(data: Mapping[str, Batch], hiding: Hiding | None, num_epochs: int, classes: list[str]) -> None:
    """Write the masks of every epoch of training, and one draw for each of the other splits.

    An arm that hides nothing has no masks.
    """
    epochs = {split: num_epochs if split == "train" else 1 for split in data}
    drawn = {split: masks.draw(batch, hiding, epochs[split]) for split, batch in data.items()} if hiding else {}
    plan = hiding.plan if hiding else None
    with written_whole(Path("data/masks")) as temporary:
        facts = {"protocol": plan.protocol, "rates": plan.rates} if plan else {}
        safetensors.write(temporary / "masks.safetensors", drawn, facts)
    report = {
        "protocol": plan.protocol if plan else None,
        "missing_rate": dict(zip(data["train"].modalities, plan.rates, strict=True)) if plan else None,
        "seed": plan.seed if plan else None,
        "slope": plan.slope if plan else None,
        "splits": {split: masks.describe(drawn[split], data[split], classes) for split in drawn},
    }
    results.write(Path("data/reports/masks.json"), Masks.model_validate(report))


def main() -> None:
    """Load towers and data; train, from where a killed run was."""
    settings = parameters.read()
    with resumable("fuse", [*_context.inputs(settings), *base_files(settings)], settings):
        train(settings)


def train(settings: Parameters) -> None:
    """Train the arm of the parameters; write its model, its masks and its curve."""
    arm, classes = ARMS[settings.arm], list(settings.dataset.classes)
    context, _ = _context.load(settings)
    context = replace(context, base=base_of(settings))
    trained = fuse(settings.arm, context, Path("data/model"), classes)
    if not context.device.ranks.is_first:
        return
    write_masks(
        context.media, context.hiding() if arm.hides else None, max(1, int(trained.curve[-1]["epoch"])), classes
    )
    write_json(Path("data/reports/curves/fusion.json"), trained.curve)


if __name__ == "__main__":
    _ranks.run(main)
