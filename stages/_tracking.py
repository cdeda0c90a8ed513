"""The record of a run of the pipeline for MLflow, read from the outputs of its stages."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from umemma.files import read_json
from umemma.parameters import Parameters
from umemma.tracking import Record

CURVES = Path("data/reports/curves")


def record(settings: Parameters, metrics: Mapping[str, float], artifacts: Mapping[str, Sequence[Path]]) -> Record:
    """Return the whole run, with each tower and the fusion as a part.

    A run that is a DVC experiment has the experiment's name.
    """
    dataset = settings.dataset
    common = {"seed": settings.seed, "compute": settings.compute.model_dump()}
    training = {"pretrain": settings.pretrain.model_dump(), "fuse": settings.fuse.model_dump()}
    modalities = {name: modality.model_dump() for name, modality in dataset.modalities.items()}
    towers = [
        _tower(name, dataset.name, {**common, "pretrain": training["pretrain"], name: modalities[name]})
        for name in modalities
    ]
    fusion = Record(
        "fuse",
        {**common, "arm": settings.arm, "fuse": training["fuse"]},
        metrics={},
        curve=read_json(CURVES / "fusion.json"),
        artifacts={"model": [Path("data/model/model.safetensors")]},
    )
    return Record(
        os.environ.get("DVC_EXP_NAME") or f"{settings.arm}, seed {settings.seed}",
        {**common, "arm": settings.arm, **training, "evaluate": settings.evaluate.model_dump(), **modalities},
        metrics,
        artifacts=artifacts,
        parts=[*towers, fusion],
    )


def _tower(name: str, dataset: str, parameters: Mapping[str, object]) -> Record:
    folder, curve = Path("data/towers") / dataset / name, read_json(CURVES / dataset / f"{name}.json")
    result = {
        key: value
        for key, value in read_json(folder / "result.json").items()
        if key not in curve[-1] and isinstance(value, int | float)
    }
    return Record(f"pretrain {name}", parameters, result, curve, {"model": [folder / "tower.safetensors"]})
