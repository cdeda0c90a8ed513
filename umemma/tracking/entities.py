"""Figures, curves, parameters and data of a run as MLflow's entities."""

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256

from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

from umemma.tracking.record import Data, Record, Run

_CONTEXTS = {"train": "training", "val": "validation", "test": "testing"}
_MOST_CHARS = 250  # of a name, says MLflow


def figures(run: Run, model: str | None) -> list[Metric]:
    """Return the run's figures, which are those of its model on the test split."""
    now = int(time.time() * 1000)
    of_model = {"model_id": model, "dataset_name": f"{run.data.name} test", "dataset_digest": run.data.sha256[:36]}
    return [
        Metric(_name(name), value, now, 0, **(of_model if model else {})) for name, value in run.record.metrics.items()
    ]


def curve(part: Record) -> list[Metric]:
    """Return a part's figures, at the last step of its curve, and the curve; what is fitted at once has no epochs."""
    now, last = int(time.time() * 1000), int(part.curve[-1]["step"]) if part.curve else 0
    return [Metric(_name(name), value, now, last) for name, value in part.metrics.items()] + [
        Metric(_name(name), value, now, int(row["step"]))
        for row in part.curve
        for name, value in row.items()
        if name not in ("step", "samples_seen") and (name != "epoch" or len(part.curve) > 1)
    ]


def params(part: Record) -> list[Param]:
    """Return what is set, by the names that `dvc exp run -S` takes."""
    return [Param(key, value if isinstance(value, str) else json.dumps(value)) for key, value in _flat(part.parameters)]


def _flat(parameters: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yield (dotted name, value), without what is not set: a row less in each comparison."""
    for name, value in parameters.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        elif value not in (None, (), [], ""):
            yield prefix + name, int(value) if isinstance(value, float) and value.is_integer() else value


def inputs(data: Data, splits: Iterable[str]) -> list[DatasetInput]:
    """Return splits of the shards: all have the digest of the one manifest."""
    return [
        DatasetInput(
            Dataset(
                name=f"{data.name} {split}",
                digest=data.sha256[:36],
                source_type="local",
                source=json.dumps({"uri": data.folder}),
                profile=json.dumps({"num_rows": data.num_samples[split], "modalities": list(data.modalities)}),
            ),
            [
                InputTag(key, value)
                for key, value in {
                    MLFLOW_DATASET_CONTEXT: _CONTEXTS[split],
                    "shards.sha256": data.sha256,
                    **data.tags,
                }.items()
            ],
        )
        for split in splits
    ]


def _name(metric: str) -> str:
    """Replace `+`, which MLflow does not allow in a name, and shorten what it finds too long."""
    name = metric.replace("+", " and ")
    return name if len(name) <= _MOST_CHARS else f"{name[: _MOST_CHARS - 13]} {sha256(name.encode()).hexdigest()[:12]}"
