"""The run's model -> predictions of it and of the towers (data/predictions), robustness.json and gates.json.

No later stage runs a model: every figure of the report follows from the predictions on file.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from stages import MANIFEST, _context, _gates, _predictions, run
from umemma import parameters
from umemma.data import manifest, mechanism
from umemma.data.mechanism import Mechanism
from umemma.data.sample import SPLITS
from umemma.evaluation import named, probe, robustness
from umemma.evaluation.by_class import by_class
from umemma.files import read_json, write_json, written_whole
from umemma.models import checkpoint, safetensors
from umemma.models.checkpoint import Model
from umemma.models.device import Device
from umemma.models.late_fusion import LateFusion
from umemma.models.run_encoders import encode_split
from umemma.named_protocol import NamedProtocol, expanded, own, parsed
from umemma.parameters import Parameters
from umemma.prediction import in_parts, predict, predictions
from umemma.prediction.predictions import Predictions
from umemma.reporting import results as reports
from umemma.reporting.tables import headline
from umemma.training.arms import ARMS
from umemma.training.context import TrainingContext
from umemma.training.fit import changed_encoders, fit
from umemma.training.settings import ArmName, Fuse, missing_rates


def has_the_towers(model: Model, context: TrainingContext) -> bool:
    """Return whether the model's encoders equal the pre-trained ones exactly."""
    return isinstance(model, LateFusion) and not changed_encoders(model, context)


def probes(model: Model, context: TrainingContext) -> dict[str, torch.Tensor]:
    """Return (sample,) float64 over test data: was a linear probe correct on the tower's features, on the model's?

    Only late fusion has features of one modality. The entry of a sample without the modality is meaningless.
    """
    if not isinstance(model, LateFusion):
        return {}
    unchanged = has_the_towers(model, context)
    result: dict[str, torch.Tensor] = {}
    for m, (name, encoder) in enumerate(model.to(context.device.torch_device).parts().items()):
        media = {split: context.media[split].only([name]) for split in ("train", "test")}
        media["train"] = media["train"].rows(media["train"].present[:, 0].nonzero().squeeze(1)[:10_000])
        rows = context.features["train"].present[:, m].nonzero().squeeze(1)[:10_000]
        cached = {"train": context.features["train"].values[name][rows], "test": context.features["test"].values[name]}
        trained = (
            cached
            if unchanged
            else {
                split: encode_split({name: encoder}, batch, device=context.device)[name]
                for split, batch in media.items()
            }
        )
        for which, features in (("pretrained", cached), ("model", trained)):
            result[f"{name}/{which}"] = (
                result[f"{name}/pretrained"].clone()
                if which == "model" and unchanged
                else probe.is_correct(features["train"], media["train"].label, features["test"], media["test"].label)
            )
    return result


def training(settings: Parameters, names: list[str]) -> dict[str, Any]:
    """Return how the model was trained; None for settings that its arm does not use."""
    arm, fuse = ARMS[settings.arm], settings.fuse
    late = arm.fusion == "late" and arm.trains != "nothing"
    return {
        "protocol": fuse.protocol if arm.hides else None,
        "missing_rate": trained_rate(settings.arm, fuse, names),
        "head": fuse.head if late else None,
        "substitute": fuse.substitute if arm.hides else None,
        "substitute_at": fuse.substitute_at if late and arm.hides else None,
    }


def trained_rate(arm: ArmName, fuse: Fuse, names: list[str]) -> dict[str, float] | None:
    """Return each modality's missing rate in training; None unless a single model was trained on all modalities."""
    if ARMS[arm].fusion in ("best tower", "specialists", "classical") or ARMS[arm].trains == "nothing":
        return None
    rates = missing_rates(fuse, names) if ARMS[arm].hides else (0.0,) * len(names)
    return dict(zip(names, rates, strict=True))


def write_predictions(
    settings: Parameters,
    predicted: Mapping[str, dict[str, Predictions]],
    probed: Mapping[str, torch.Tensor],
    *,
    fingerprint: str,
    budget: Mapping[str, int],
) -> None:
    """Write data/predictions: the run's model, the towers, their product, the probes. `budget`: each one's cost."""
    common = {"seed": settings.seed, "fingerprint": fingerprint}
    names = list(settings.dataset.modalities)
    with written_whole(Path("data/predictions")) as folder:
        predictions.write(
            folder / "model.safetensors",
            predicted["main"],
            {
                **common,
                "arm": settings.arm,
                "missing_rate": trained_rate(settings.arm, settings.fuse, names),
                "budget": budget["main"],
            },
        )
        for arm in ("uni", "ensemble"):
            predictions.write(
                folder / f"{arm}.safetensors",
                predicted[arm],
                {**common, "arm": arm, "missing_rate": None, "budget": budget[arm]},
            )
        safetensors.write(folder / "probes.safetensors", dict(probed) or {"none": torch.zeros(1)}, {})


def mechanisms(context: TrainingContext, slope: float) -> dict[str, Callable[[float], torch.Tensor]]:
    """Return how likely each modality of each test sample is hidden, by mechanism and rate; of `mar` only where one is always there."""
    train, test = (mechanism.summarised(context.media[split]) for split in ("train", "test"))
    known = [name for name in mechanism.MECHANISMS if name != "mar" or train.present.all(dim=0).any()]

    def chances(name: str, rate: float) -> torch.Tensor:
        return Mechanism.fit(name, train, [rate] * len(train.modalities), slope).chances(test)

    return {name: partial(chances, name) for name in known}


def named_protocols(settings: Parameters, uni: Predictions) -> list[NamedProtocol]:
    """Return the protocols of `evaluate`; `uni` are the towers' predictions for validation data."""
    names, order = list(settings.dataset.modalities), named.by_information(uni)
    own_ones = [
        own(name, by_class, names, settings.dataset.classes)
        for name, by_class in settings.evaluate.own_protocols.items()
    ]
    listed = expanded(settings.evaluate.protocols, names)
    return [parsed(name, names, order=order, known=list(uni.logits)) for name in listed] + own_ones


def write_classes(test: Predictions, classes: Sequence[str]) -> None:
    """Write what the model says of each class (classes.json)."""
    keys, groups = manifest.names(MANIFEST, "test")
    content = by_class(test, classes, keys=keys, groups=groups)
    reports.write(Path("data/reports/classes.json"), reports.Classes.model_validate(content))


def answers_by(settings: Parameters) -> Callable[..., Predictions]:
    """Return what predicts: this process, or parts of the rows wherever the launcher works."""
    if settings.compute.launcher == "local":
        return predict.predict
    launcher = settings.launcher()

    def by(*given: Any, group: torch.Tensor, device: Device, features: Any) -> Predictions:
        set_up = settings.compute.set_up
        return in_parts.predict(*given, group=group, features=features, set_up=set_up, launcher=launcher)

    return by


def main() -> None:
    """Load the model, predict with it and the towers, write predictions and results."""
    settings = parameters.read()
    dataset, names = settings.dataset, list(settings.dataset.modalities)
    context, targets = _context.load(settings)
    chosen = checkpoint.load(Path("data/model/model.safetensors"))
    budget = read_json(Path("data/model/budget.json"))
    predicts = partial(
        _predictions.predictions_of,
        samples=context,
        targets=targets,
        evaluate=settings.evaluate,
        by=answers_by(settings),
    )
    predicted = {"main": predicts(chosen, features=context.features if has_the_towers(chosen, context) else None)}
    for arm in ("uni", "ensemble"):
        predicted[arm] = predicts(fit(arm, context).model, features=context.features)
    fingerprint = _context.fingerprint(settings, targets)
    pretrained = sum(tower.samples_seen for tower in context.towers.values())
    write_predictions(
        settings,
        predicted,
        probes(chosen, context),
        fingerprint=fingerprint,
        budget={"main": budget["total"], "uni": pretrained, "ensemble": pretrained},
    )
    tables = {name: robustness.Table(splits["test"]) for name, splits in predicted.items()}
    content = reports.Robustness.model_validate(
        {
            "dataset": {
                "name": dataset.name,
                "fingerprint": fingerprint,
                "n": {split: len(targets.label[split]) for split in SPLITS},
            },
            "arm": settings.arm,
            "seed": settings.seed,
            "training": training(settings, names),
            "budget": budget,
            **robustness.results(
                tables["main"],
                tables["uni"],
                settings.evaluate.rates,
                dataset.classes,
                mechanisms(context, settings.evaluate.slope),
            ),
            "named_protocols": named.results(tables["main"], named_protocols(settings, predicted["uni"]["val"])),
        }
    )
    reports.write(Path("data/reports/robustness.json"), content)
    write_json(Path("data/reports/metrics.json"), headline(content))
    write_classes(predicted["main"]["test"], dataset.classes)
    reports.write(Path("data/reports/gates.json"), _gates.judge(settings, context, chosen))


if __name__ == "__main__":
    run(main)
