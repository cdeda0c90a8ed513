"""Answers as rows of a log: the columns of `umemma predict` but for what the model folder says of each pattern, when and
how fast the answer was given, and a summary of every array that it was made from.
"""

import base64
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
import torch

from umemma.serving.answer import PROBABILITY, Answer
from umemma.serving.model import Model
from umemma.serving.row import Row
from umemma.serving.summary import columns, summaries

SENT = "sent"
_TEXTS = ("request", "id", "model", "key", "predicted", "set", "used", "rejected", "notes")
_NUMBERS = ("confidence", "coverage", "seconds")
Sent = Mapping[str, object]


@dataclass(frozen=True)
class Answered:
    """One request's answers; `sent` has what was sent for each row, and is empty if that is not kept."""

    time: datetime
    seconds: float
    rows: Sequence[Row]
    answers: Sequence[Answer]
    sent: Sequence[Sent | None]

    @property
    def num_bytes(self) -> int:
        """About how much memory it holds."""
        values = (value.nbytes for row in self.rows for value in row.values.values())
        return sum(values) + sum(_size(cell) for cells in self.sent if cells for cell in cells.values())


class LogRows:
    """Makes rows for the log of a model; `keeps_media`: with what was sent."""

    def __init__(self, model: Model, *, keeps_media: bool) -> None:
        self._model = model
        own = [column for modality in model.modalities for column in columns(modality)]
        numbers = [*_NUMBERS, *(f"{PROBABILITY}{name}" for name in model.classes), *own]
        fields = [("time", pa.timestamp("us", tz="UTC")), *((name, pa.string()) for name in _TEXTS)]
        fields += [(name, pa.float64()) for name in numbers]
        self.schema = pa.schema(fields + ([(SENT, pa.string())] if keeps_media else []))

    def of(self, requests: Sequence[Answered]) -> Iterator[dict[str, Any]]:
        """Yield a row for each answer, with a cell for every column."""
        summarised = iter(self._summaries([row for request in requests for row in request.rows]))
        for request in requests:
            name = uuid.uuid4().hex
            for answer, sent in zip(request.answers, request.sent or [None] * len(request.rows), strict=True):
                cells = {
                    "time": request.time,
                    "request": name,
                    "model": self._model.digest,
                    "seconds": request.seconds,
                    SENT: None if sent is None else json.dumps(sent, ensure_ascii=False, default=_as_base64),
                    **answer.cells(),
                    **next(summarised),
                }
                yield {column: cells.get(column) for column in self.schema.names}

    def _summaries(self, rows: Sequence[Row]) -> list[dict[str, float]]:
        """Return the summaries of each row, by column."""
        found: list[dict[str, float]] = [{} for _ in rows]
        for modality in self._model.modalities:
            having = [number for number, row in enumerate(rows) if modality in row.values]
            if having:
                values = summaries(torch.stack([rows[number].values[modality] for number in having]))
                for number, of_row in zip(having, values.tolist(), strict=True):
                    found[number] |= dict(zip(columns(modality), of_row, strict=True))
        return found


def _size(cell: object) -> int:
    return len(cell) if isinstance(cell, str | bytes) else 64


def _as_base64(cell: object) -> dict[str, str]:
    assert isinstance(cell, bytes), f"a request holds {type(cell).__name__}"
    return {"base64": base64.b64encode(cell).decode()}
