"""One modality's arrays -> its tower, trained alone, and all features (data/towers/<data set>/<modality>)."""

from collections.abc import Mapping
from pathlib import Path

from stages import _ranks, modality_of
from stages._base import base_files, base_of
from stages._resume import resumable
from umemma import parameters
from umemma.data import arrays, manifest
from umemma.data.sample import SPLITS
from umemma.files import write_json, written_whole
from umemma.models import frozen, safetensors, unimodal
from umemma.parameters import Parameters
from umemma.training import encoder_search, inherited, unimodal_fit

MANIFEST = Path("data/shards/manifest.parquet")


def pretrain(name: str, settings: Parameters, folder: Mapping[str, Path]) -> None:
    """Train the tower of a modality; write it, its features, its curve and its result."""
    dataset, modality = settings.dataset, settings.dataset.modalities[name]
    targets = manifest.targets(MANIFEST, len(dataset.classes))
    data = {split: arrays.load(folder, split, targets) for split in SPLITS}
    base = base_of(settings)
    if base is not None and name in base.parts():
        num_classes, seed = len(list(dataset.classes)), settings.seed
        trained = inherited.fit(base, data, settings.pretrain, settings.compute, num_classes=num_classes, seed=seed)
        result = unimodal_fit.report(trained, data) | inherited.FACTS
    else:
        encoders = [frozen.trained_part(modality.encoder), *modality.candidates][: settings.pretrain.search]
        trained, result = encoder_search.best(
            encoders,
            data,
            lambda encoder: unimodal_fit.fit(
                data,
                encoder,
                settings.pretrain,
                settings.compute,
                epochs=modality.epochs,
                num_classes=len(dataset.classes),
                seed=settings.seed,
                augmentation=modality.augment,
                group=targets.group["train"],
            ),
        )
    if not settings.compute.set_up().ranks.is_first:
        return
    with written_whole(Path("data/towers") / dataset.name / name) as temporary:
        unimodal.save(trained.tower, temporary / "tower.safetensors")
        facts = {"modality": name, "is_out_of_fold": trained.is_out_of_fold}
        safetensors.write(temporary / "features.safetensors", trained.features, facts)
        write_json(temporary / "result.json", result)
    write_json(Path("data/reports/curves") / dataset.name / f"{name}.json", trained.curve)
    figures = {key: value for key, value in result.items() if isinstance(value, int | float)}
    print(f"{name}: " + "  ".join(f"{key} {value:g}" for key, value in figures.items()))
    if settings.pretrain.search > 1 or base is not None:
        print(f"{name}: chose {result['encoder']}, {result['why']}")


def main() -> None:
    """Train the tower, from where a killed run was."""
    name, settings = modality_of(__doc__), parameters.read()
    folder = {name: Path("data") / settings.dataset.inputs[name] / settings.dataset.name / name}
    with resumable(f"pretrain@{name}", [*folder.values(), MANIFEST, *base_files(settings)], settings):
        pretrain(name, settings, folder)


if __name__ == "__main__":
    _ranks.run(main)
