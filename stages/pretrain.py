"""One modality's arrays -> its tower, trained alone, and all features (data/towers/<data set>/<modality>)."""

from pathlib import Path

from stages import MANIFEST, _arrays, _ranks, modality_of
from stages._base import base_files, base_of
from stages._resume import resumable
from umemma import parameters
from umemma.files import write_json, written_whole
from umemma.models import frozen, safetensors, unimodal
from umemma.parameters import Parameters
from umemma.training import encoder_search, inherited, unimodal_fit


def pretrain(name: str, settings: Parameters) -> None:
    """Train the tower of a modality; write it, its features, its curve and its result."""
    dataset, modality = settings.dataset, settings.dataset.modalities[name]
    num_classes, seed = len(dataset.classes), settings.seed
    data, targets = _arrays.of_modality(name, dataset)
    base = base_of(settings)
    if base is not None and name in base.parts():
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
                num_classes=num_classes,
                seed=seed,
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
    inputs = [_arrays.folders(settings.dataset)[name], MANIFEST, *base_files(settings)]
    with resumable(f"pretrain@{name}", inputs, settings):
        pretrain(name, settings)


if __name__ == "__main__":
    _ranks.run(main)
