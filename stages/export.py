"""The run's model and all that its answers need -> one folder (data/export), which needs neither this project nor DVC,
and what it answers to every test sample (data/reports/predictions.csv).

`umemma predict data/export rows.csv` answers new rows with it.
"""

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pyarrow import parquet

from stages import MANIFEST, run
from umemma import parameters
from umemma.data import arrays, manifest
from umemma.data.sample import SPLITS
from umemma.data.settings import Dataset
from umemma.limits import Limits
from umemma.models.feature_cache import BACKBONE
from umemma.parameters import Parameters
from umemma.prediction import predictions
from umemma.reporting import results
from umemma.reporting.results import Accounting
from umemma.serving import export, folder
from umemma.serving.folder import FORMAT, Decoded, Facts, Inputs

FOLDER = Path("data/export")


def rows_of(dataset: Dataset) -> dict[str, Any]:
    """Return what a row may hold: what the adapter reads if it reads a table, else a file or value for each modality."""
    of_table = getattr(import_module(f"umemma.sources.adapters.{dataset.adapter}"), "inputs", None)
    if of_table is not None:
        return of_table(dataset.options)
    kinds = parquet.read_table(MANIFEST, columns=[f"{name}_kind" for name in dataset.modalities])
    modalities = {
        name: {"column": name, "kind": next(filter(None, kinds[f"{name}_kind"].unique().to_pylist()))}
        for name in dataset.modalities
    }
    return {"key": "key", "group": None, "known": ["label"], "modalities": modalities, "columns": {}, "missing": []} | {
        "dialect": {},
        "windows": None,
    }


def inputs(dataset: Dataset, limits: Limits) -> Inputs:
    """Return what a row may hold, and how each modality becomes an array."""
    decoded = {}
    for name, modality in dataset.modalities.items():
        array = np.load(Path("data/arrays") / dataset.name / name / "train.npy", mmap_mode="r")
        decoded[name] = Decoded(decode=modality.decode, shape=list(array.shape[1:]), dtype=str(array.dtype))
    rows = rows_of(dataset)
    rows["modalities"] = {name: rows["modalities"][name] for name in dataset.modalities}
    return Inputs(**rows, decoded=decoded, limits=limits)


def facts(settings: Parameters, account: Accounting, manifest_sha256: str) -> Facts:
    """Return what was trained, on what."""
    dataset = settings.dataset
    device = settings.compute.set_up()
    return Facts(
        format=FORMAT,
        umemma=export.package(),
        dataset=dataset.name,
        task=dataset.task,
        classes=list(dataset.classes),
        modalities=list(dataset.modalities),
        backbones=list(dataset.frozen),
        arm=settings.arm,
        seed=settings.seed,
        precision="bfloat16" if device.uses_bfloat16 else "float32",
        fingerprint=account.dataset.fingerprint,
        manifest_sha256=manifest_sha256,
        num_samples={split: account.dataset.n[split] for split in SPLITS},
    )


def main() -> None:
    """Read the run's outputs and write the folder."""
    settings = parameters.read()
    dataset = settings.dataset
    account = results.read(Path("data/reports/accounting.json"), Accounting)
    targets = manifest.targets(MANIFEST, len(dataset.classes))
    predicted, _ = predictions.read(Path("data/predictions/model.safetensors"))
    features = Path("data/features") / dataset.name
    folders = {name: Path("data/arrays") / dataset.name / name for name in dataset.modalities}
    present = [torch.from_numpy(np.load(folder / "train_present.npy")) for folder in folders.values()]
    digest = export.write(
        export.Run(
            facts(settings, account, targets.sha256),
            inputs(dataset, settings.limits),
            account,
            Path("data/model/model.safetensors"),
            {name: features / name / BACKBONE for name in dataset.frozen},
            predicted,
            torch.stack(present, dim=1),
            targets.label["train"],
            arrays.load(folders, "test", targets),
            *manifest.names(MANIFEST, "test"),
        ),
        FOLDER,
        Path("data/reports/predictions.csv"),
    )
    if short := folder.read(FOLDER / folder.MEASURED, folder.Measured).falling_short():
        print(f"{FOLDER}: {short}")
    print(f"{FOLDER}: model {digest[:12]}; `umemma predict {FOLDER} ROWS.csv` answers new rows")


if __name__ == "__main__":
    run(main)
