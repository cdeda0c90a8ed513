"""The log of answers as Parquet, for `umemma monitor`: written beside the server's work, never in its way.

A request hands its answers over and goes on. One thread makes rows of them and writes a file when there are enough, or
some time after the first; a file appears whole or not at all, so that a killed server loses at most the rows of one.
What cannot be kept - the disk is full, answers come faster than they are written - is counted in the metrics and said.
Memory is bounded: by the bytes that wait, and by the rows and bytes of a file.
"""

import base64
import contextlib
import json
import os
import sys
import threading
import time
import uuid
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from umemma.errors import DataError, ParameterError
from umemma.files import written_whole
from umemma.serving import log_files
from umemma.serving.answer import PROBABILITY, Answer
from umemma.serving.http.metrics import Metrics
from umemma.serving.model import Model
from umemma.serving.row import Row
from umemma.serving.summary import columns, summaries
from umemma.settings import Count, Positive, Section

SENT = "sent"
_TEXTS = ("request", "id", "model", "key", "predicted", "set", "used", "rejected", "notes")
_NUMBERS = ("confidence", "coverage", "seconds")
_PER_PATTERN = ("place", "measured", "n", "accuracy", "accuracy_low", "accuracy_high", "information")  # in the model
_MIB = 2**20
Sent = Mapping[str, object]


class Settings(Section):
    """Options of `umemma serve --log`."""

    log_rows: Count = 5000
    """answers in a file of the log, and of which none is written yet"""
    log_seconds: Positive = 60.0
    """seconds after which an answer is in a file"""
    log_mib: Count = 64
    """MiB that wait to be written; what comes beyond is not logged, and counted"""


@dataclass(frozen=True)
class _Request:
    """One request's answers; `sent` has what was sent for each row, and is empty if that is not kept."""

    time: datetime
    seconds: float
    rows: Sequence[Row]
    answers: Sequence[Answer]
    sent: Sequence[Sent | None]

    @property
    def num_bytes(self) -> int:
        values = (value.nbytes for row in self.rows for value in row.values.values())
        return sum(values) + sum(_size(cell) for cells in self.sent if cells for cell in cells.values())


class RequestLog:
    """Writes answers into `folder`; `keeps_media`: what was sent, too."""

    def __init__(self, folder: Path, model: Model, settings: Settings, *, keeps_media: bool = False) -> None:
        """Raises ParameterError if the folder cannot be written to."""
        self.keeps_media = keeps_media
        self._folder, self._model, self._settings = folder, model, settings
        self._schema = _schema(model, keeps_media=keeps_media)
        self._waiting: deque[_Request] = deque()
        self._waiting_bytes, self._is_stopped = 0, False
        self._changed = threading.Condition()
        self._rows: list[dict[str, Any]] = []
        self._row_bytes, self._num_files, self._is_failing = 0, 0, False
        self._thread = threading.Thread(target=self._work, name="log", daemon=True)
        self._metrics: Metrics | None = None
        _check(folder, self._schema)

    def start(self, metrics: Metrics) -> None:
        """Begin to write, and to count."""
        self._metrics = metrics
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Write what is left, for at most so long."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify()
        self._thread.join(seconds)

    def add(
        self, rows: Sequence[Row], answers: Sequence[Answer], sent: Sequence[Sent | None], *, seconds: float
    ) -> None:
        """Take the answers of one request, which took `seconds`; never waits."""
        request = _Request(datetime.now(UTC) - timedelta(seconds=seconds), seconds, rows, answers, sent)
        size = request.num_bytes
        with self._changed:
            if self._waiting_bytes + size > self._settings.log_mib * _MIB:
                self._lost(len(answers), "queue")
                return
            self._waiting.append(request)
            self._waiting_bytes += size
            self._changed.notify()

    def _work(self) -> None:
        due = time.monotonic()
        while True:
            with self._changed:
                while not self._waiting and not self._is_stopped:
                    left = due - time.monotonic() if self._rows else None
                    if left is not None and left <= 0:
                        break
                    self._changed.wait(left)
                request = self._waiting.popleft() if self._waiting else None
                is_last = self._is_stopped and not self._waiting
            if request is not None:
                due = due if self._rows else time.monotonic() + self._settings.log_seconds
                self._take(request)
                with self._changed:
                    self._waiting_bytes -= request.num_bytes
            if is_last or self._is_full or (self._rows and time.monotonic() >= due):
                self._write()
                due = time.monotonic() + self._settings.log_seconds
            if is_last:
                return

    @property
    def _is_full(self) -> bool:
        return len(self._rows) >= self._settings.log_rows or self._row_bytes >= self._settings.log_mib * _MIB

    def _take(self, request: _Request) -> None:
        name = uuid.uuid4().hex
        kept = request.sent or [None] * len(request.rows)
        for row, answer, sent in zip(request.rows, request.answers, kept, strict=True):
            cells = {
                "time": request.time,
                "request": name,
                "model": self._model.digest,
                "seconds": request.seconds,
                **answer.cells(),
            }
            for modality, value in row.values.items():
                cells |= dict(zip(columns(modality), summaries(value[None])[0].tolist(), strict=True))
            if sent is not None:
                cells[SENT] = json.dumps(sent, ensure_ascii=False, default=_as_base64)
                self._row_bytes += len(cells[SENT])
            self._rows.append({column: cells.get(column) for column in self._schema.names})

    def _write(self) -> None:
        if not self._rows:
            return
        path = self._folder / log_files.name(self._num_files)
        try:
            _write(path, self._rows, self._schema)
        except (OSError, DataError) as error:
            if not self._is_failing:
                _say(f"answers are not logged: {error}; they go on to be answered, and counted in the metrics")
            self._is_failing = True
            if self._is_full or self._is_stopped:
                self._lost(len(self._rows), "disk")
                self._rows, self._row_bytes = [], 0
            return
        if self._is_failing:
            _say(f"answers are logged again, in {self._folder}")
        assert self._metrics is not None
        self._metrics.logged.inc(len(self._rows))
        self._is_failing, self._rows, self._row_bytes = False, [], 0
        self._num_files += 1

    def _lost(self, count: int, reason: str) -> None:
        assert self._metrics is not None
        self._metrics.unlogged.labels(reason).inc(count)


def _schema(model: Model, *, keeps_media: bool) -> pa.Schema:
    """The columns of `umemma predict` but for what the model folder says of each pattern, and the log's own."""
    own = [column for modality in model.modalities for column in columns(modality)]
    numbers = [*_NUMBERS, *(f"{PROBABILITY}{name}" for name in model.classes), *own]
    fields = [("time", pa.timestamp("us", tz="UTC")), *((name, pa.string()) for name in _TEXTS)]
    fields += [(name, pa.float64()) for name in numbers]
    return pa.schema(fields + ([(SENT, pa.string())] if keeps_media else []))


def _write(path: Path, rows: list[dict[str, Any]], schema: pa.Schema) -> None:
    with written_whole(path) as temporary, temporary.open("xb") as file:
        parquet.write_table(pa.Table.from_pylist(rows, schema), file)
        file.flush()
        os.fsync(file.fileno())


def _check(folder: Path, schema: pa.Schema) -> None:
    """Try to write into the folder, which makes the next file fast, and remove what killed servers left half-written."""
    trial = folder / f".trial.{os.getpid()}"
    try:
        _write(trial, [], schema)
        trial.unlink()
        for path in folder.glob(f".*{log_files.SUFFIX}.*.part"):
            with contextlib.suppress(FileNotFoundError):
                if not _is_running(int(path.suffixes[-2][1:])):
                    path.unlink()
    except (OSError, DataError) as error:
        raise ParameterError(f"--log {folder}: no files can be written there ({error})") from error


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _size(cell: object) -> int:
    return len(cell) if isinstance(cell, str | bytes) else 64


def _as_base64(cell: object) -> dict[str, str]:
    assert isinstance(cell, bytes), f"a request holds {type(cell).__name__}"
    return {"base64": base64.b64encode(cell).decode()}


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)
