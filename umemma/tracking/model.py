"""A model folder as an MLflow model: its files as they are, a program of a few lines, and every column optional.

The signature names the columns and checks no type (`AnyType`): MLflow's checks refuse whole numbers where fractions are
declared, and a column of texts in which all are missing, while the model itself reads each cell as training did and says
what it cannot use. A column that the signature does not name never reaches the model: MLflow leaves it out with a warning.
"""

import os
import re
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from importlib.metadata import version
from itertools import cycle
from pathlib import Path
from typing import Any, get_args, get_type_hints

os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

import mlflow
import pandas as pd
from mlflow.models import Model as MlflowModel
from mlflow.models import ModelSignature
from mlflow.types.schema import AnyType, ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec

from umemma.serving.answer import PROBABILITY, Answer
from umemma.serving.model import COVERAGE, Model, load

CODE = Path(__file__).with_name("model_code.py")
LIBRARIES = ("umemma", "torch", "torchvision", "torchaudio", "safetensors", "pandas")
HOLES = (None, float("nan"), pd.NA)
MOST_PATTERNS = 31  # of five modalities; a table takes as long as a block of rows through every encoder


def log(folder: Path, name: str, run_id: str) -> str:
    """Log a folder under a run, and return the model's id."""
    name = re.sub(r"[/:.%\"']", "-", name)  # as MLflow asks
    with _quiet():
        info = MlflowModel.log(None, mlflow.pyfunc, name=name, run_id=run_id, **_arguments(folder, load(folder)))
    return str(info.model_id)


def check(folder: Path, rows: Sequence[Mapping[str, Any]]) -> int:
    """Save a folder as an MLflow model, load that, and ask both: the answers must be equal in every measured pattern.

    `rows` are examples with all modalities. Returns the number of tables asked.
    """
    with tempfile.TemporaryDirectory() as place, _quiet():
        model, path = load(folder), str(Path(place) / "model")
        mlflow.pyfunc.save_model(path, **_arguments(folder, model))
        loaded, tables = mlflow.pyfunc.load_model(path), list(frames(model, rows))
        for table in tables:
            expected, answers = model.predict(table), loaded.predict(table)
            assert answers.equals(expected), f"MLflow changes the answers to the columns {list(table.columns)}"
    return len(tables)


def signature(model: Model) -> ModelSignature:
    """Return the signature of a model: its columns, those of its answers, and `coverage` of the prediction sets."""
    hints = get_type_hints(Answer)
    numbers = {name for name, hint in hints.items() if {hint, *get_args(hint)} & {int, float}}
    names = [field.name for field in fields(Answer) if field.name != "probability"]
    inputs: list[ColSpec | TensorSpec] = [ColSpec(AnyType(), column, False) for column in _columns(model)]
    outputs: list[ColSpec | TensorSpec] = [
        ColSpec(DataType.double if name in numbers else DataType.string, name, False) for name in names
    ]
    outputs += [ColSpec(DataType.double, f"{PROBABILITY}{name}") for name in model.classes]
    return ModelSignature(
        Schema(inputs), Schema(outputs), ParamSchema([ParamSpec("coverage", DataType.double, COVERAGE)])
    )


def frames(model: Model, rows: Sequence[Mapping[str, Any]]) -> Iterator[pd.DataFrame]:
    """Yield the rows in every measured pattern, without the columns of what is absent, and once with holes instead.

    There, each row has one modality alone, and holes of every kind. Of many patterns those are taken in which all, one, or
    all but one modality are present.
    """
    columns, whole = model.reader.columns, pd.DataFrame(list(rows), dtype=object)
    ends = (1, len(columns) - 1, len(columns))
    patterns = [pattern.split("+") for pattern in model.measured.patterns]
    for present in [each for each in patterns if len(patterns) <= MOST_PATTERNS or len(each) in ends]:
        absent = [column for name in columns if name not in present for column in columns[name]]
        yield whole.drop(columns=absent, errors="ignore")
    alone = [
        dict(zip(whole.columns, cells, strict=True))
        | {column: hole for other in columns if other != name for column in columns[other]}
        for cells, name, hole in zip(cycle(whole.to_numpy().tolist()), columns, cycle(HOLES), strict=False)
    ]
    yield pd.DataFrame(alone, dtype=object)


def _columns(model: Model) -> list[str]:
    """Return the columns that the model reads, and those of objects that it takes apart: `caption` for `caption.text`."""
    names = [*model.column_names(), *model.inputs.columns]
    objects = [name[:dot] for name in names for dot, character in enumerate(name) if character == "." and dot]
    return list(dict.fromkeys([*names, *objects]))


def _arguments(folder: Path, model: Model) -> dict[str, Any]:
    return {
        "python_model": str(CODE),
        "artifacts": {"folder": str(folder)},
        "signature": signature(model),
        "pip_requirements": [f"{library}=={version(library)}" for library in LIBRARIES],
        "metadata": {
            "digest": model.digest,
            "fingerprint": model.facts.fingerprint,
            "classes": list(model.classes),
            "modalities": {name: list(columns) for name, columns in model.reader.columns.items()},
        },
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence warnings: MLflow's of its own libraries, and the model's of columns that are not there."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
