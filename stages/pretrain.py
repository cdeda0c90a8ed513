"""One modality's arrays -> its tower, trained alone, and all features (data/towers/<data set>/<modality>)."""

from pathlib import Path

from stages import modality_of, run
from umemma import parameters, tracking
from umemma.data import arrays, manifest
from umemma.data.sample import SPLITS
from umemma.files import write_json, written_whole
from umemma.models import frozen, safetensors, unimodal
from umemma.parameters import Parameters
from umemma.paths import home
from umemma.training import unimodal_fit


def main() -> None:
    """Train the tower and track the run."""
    name = modality_of(__doc__)
    settings = parameters.read()
    dataset, modality = settings.dataset, settings.dataset.modalities[name]
    folder = {name: Path("data") / dataset.inputs[name] / dataset.name / name}
    targets = manifest.targets(Path("data/shards/manifest.parquet"), len(dataset.classes))
    data = {split: arrays.load(folder, split, targets) for split in SPLITS}
    with tracking.run(
        f"pretrain {name}",
        experiment=dataset.name,
        parameters=_parameters(settings, name),
        shards_sha256=targets.sha256,
        home=home(),
    ) as tracked:
        trained = unimodal_fit.fit(
            data,
            frozen.trained_part(modality.encoder),
            settings.pretrain,
            settings.compute,
            epochs=modality.epochs,
            num_classes=len(dataset.classes),
            seed=settings.seed,
            augmentation=modality.augment,
        )
        result = unimodal_fit.report(trained, data)
        tower_folder = Path("data/towers") / dataset.name / name
        with written_whole(tower_folder) as temporary:
            unimodal.save(trained.tower, temporary / "tower.safetensors")
            safetensors.write(temporary / "features.safetensors", trained.features, {"modality": name})
        write_json(Path("data/reports/curves") / dataset.name / f"{name}.json", trained.curve)
        tracked.curve(trained.curve)
        tracked.final(result)
        tracked.artifact(tower_folder / "tower.safetensors", "model")
    print(f"{name}: " + "  ".join(f"{key} {value:g}" for key, value in result.items()))


def _parameters(settings: Parameters, name: str) -> dict[str, object]:
    return {
        "seed": settings.seed,
        "pretrain": settings.pretrain.model_dump(),
        "compute": settings.compute.model_dump(),
        name: settings.dataset.modalities[name].model_dump(),
    }


if __name__ == "__main__":
    run(main)
