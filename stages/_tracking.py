"""What MLflow is told of a run of the pipeline, read from the outputs of its stages."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stages import MANIFEST
from umemma.files import read_json, sha256
from umemma.parameters import Parameters
from umemma.reporting import tables, terminal
from umemma.reporting.reports import Reports
from umemma.tracking.record import Data, Record, Run

CURVES = Path("data/reports/curves")
MODEL = Path("data/export")
NUM_EXAMPLES = 4


def run(settings: Parameters, reports: Reports, artifacts: Mapping[str, Sequence[Path]]) -> Run:
    """Return the whole run, with each tower and the fusion as a part.

    A run that is a DVC experiment has the experiment's name. Parameters have the names that `dvc exp run -S` takes.
    """
    dataset, arm, seed = settings.dataset.name, settings.arm, settings.seed
    common: dict[str, Any] = {"seed": seed, "compute": settings.compute.of_results(), "dataset": {"name": dataset}}
    pretrain, fuse = {"pretrain": settings.pretrain.model_dump()}, {"arm": arm, "fuse": settings.fuse.model_dump()}
    modalities = {name: modality.model_dump() for name, modality in settings.dataset.modalities.items()}

    def of(*names: str) -> dict[str, Any]:
        return {"dataset": {"name": dataset, "modalities": {name: modalities[name] for name in names}}}

    towers = [_tower(name, dataset, {**common, **pretrain, **of(name)}) for name in modalities]
    fusion = Record(
        "fuse",
        {**common, **fuse},
        metrics={},
        curve=read_json(CURVES / "fusion.json"),
        artifacts={"model": [Path("data/model/model.safetensors")]},
    )
    whole = Record(
        os.environ.get("DVC_EXP_NAME") or f"{dataset} {arm} seed {seed}",
        {**common, **pretrain, **fuse, "evaluate": settings.evaluate.model_dump(), **of(*modalities)},
        tables.metrics(reports.robustness, reports.accounting),
        artifacts=artifacts,
        parts=[*towers, fusion],
    )
    return Run(dataset, whole, _data(reports), _tags(), _note(reports), MODEL, _examples(list(modalities)))


def lineage() -> list[Path]:
    """Return the files that say what the run was made from: the next one may overwrite them before any commit."""
    return [path for path in (Path("dvc.lock"), Path("params.yaml")) if path.exists()]


def _examples(modalities: Sequence[str]) -> list[dict[str, Any]]:
    """Return a few test samples that have most, as rows for the model."""
    from pyarrow import parquet

    from umemma.tracking import examples

    present = [f"{name}_present" for name in modalities]
    columns = ["key", "shard", "split", *present]
    tested = parquet.read_table(MANIFEST, columns=columns, filters=[("split", "=", "test")]).to_pylist()
    fullest = sorted(tested, key=lambda row: -sum(row[name] for name in present))[:NUM_EXAMPLES]
    return examples.rows(MODEL, MANIFEST.parent, fullest)


def _tower(name: str, dataset: str, parameters: Mapping[str, Any]) -> Record:
    folder, curve = Path("data/towers") / dataset / name, read_json(CURVES / dataset / f"{name}.json")
    result = {
        key: value
        for key, value in read_json(folder / "result.json").items()
        if key not in curve[-1] and isinstance(value, int | float)
    }
    return Record(f"pretrain {name}", parameters, result, curve, {"model": [folder / "tower.safetensors"]})


def _data(reports: Reports) -> Data:
    from pyarrow import parquet

    counts = parquet.read_table(MANIFEST, columns=["split"]).column("split").value_counts().to_pylist()
    return Data(
        name=reports.accounting.dataset.name,
        folder=str(MANIFEST.parent),
        sha256=sha256(MANIFEST),
        num_samples={count["values"]: count["counts"] for count in counts},
        modalities=reports.accounting.modalities,
        tags={"arrays.fingerprint": reports.accounting.dataset.fingerprint},
    )


def _tags() -> dict[str, str]:
    """Return what the run was made from, as DVC and git name it."""
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
        capture_output=True,
        text=True,
        check=False,
    )
    commit = described.stdout.strip() if described.returncode == 0 else ""
    tags = {
        "mlflow.source.name": "dvc.yaml",
        "mlflow.source.git.commit": commit.removesuffix("-dirty"),
        "git.commit": commit,
        "dvc.experiment": os.environ.get("DVC_EXP_NAME", ""),
        "dvc.baseline": os.environ.get("DVC_EXP_BASELINE_REV", ""),
    }
    return {name: value for name, value in tags.items() if value}


def _note(reports: Reports) -> str:
    """Return the verdict and the table of patterns in Markdown."""
    verdict = " ".join(line.strip() for line in terminal.verdict_lines(reports.accounting))
    return f"{verdict}\n\n```\n{terminal.table(reports.robustness, reports.accounting)}\n```"
