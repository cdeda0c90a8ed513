"""Rows as a caller would send them in JSON, made from samples of the shards: files in base64, texts, numbers, lists."""

import base64
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from umemma.data import shards
from umemma.serving import folder as model_folder
from umemma.serving.folder import INPUTS, Inputs
from umemma.sources.tables.sources import Source, source


def rows(model: Path, folder: Path, samples: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
    """Return a row for each sample, given by its `key` and the `shard` that holds it, as a model folder reads it."""
    inputs = model_folder.read(model / INPUTS, Inputs)
    sources = {name: source(name, entry) for name, entry in inputs.modalities.items()}
    return [_row(sources, shards.files(folder, sample["shard"], sample["key"])) for sample in samples]


def _row(sources: Mapping[str, Source], files: Mapping[str, tuple[str, bytes]]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name, one in sources.items():
        if name in files:
            row |= zip(one.columns, _cells(one, files[name][1]), strict=False)
    return row


def _cells(one: Source, content: bytes) -> list[Any]:
    """Return the cells that a file of the shards was made from, as far as it tells: of a category, a number."""
    if one.inline:
        return [content.decode("utf-8")]
    if one.kind in ("vector", "series", "events"):
        values = _plain(np.load(io.BytesIO(content), allow_pickle=False).tolist())
        return values if one.are_numbers else [values]
    return [{"base64": base64.b64encode(content).decode()}]


def _plain(values: Any) -> Any:
    """Return nested lists with None where a number was not measured."""
    if isinstance(values, list):
        return [_plain(value) for value in values]
    return None if isinstance(values, float) and not math.isfinite(values) else values
