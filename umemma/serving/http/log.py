"""The log of answers as Parquet, for `umemma monitor`: written beside the server's work, never in its way.

A request hands its answers over and goes on. One thread makes rows of them and writes a file when there are enough, or
some time after the first; a file appears whole or not at all, so that a killed server loses at most the rows of one.
What cannot be kept - the disk is full, answers come faster than they are written - is counted in the metrics and said.
Memory is bounded: by the bytes that wait, and by the rows and bytes of a file.
"""

import os
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from umemma.errors import DataError, ParameterError
from umemma.files import is_left, written_whole
from umemma.serving import log_files
from umemma.serving.answer import Answer
from umemma.serving.http.log_rows import SENT, Answered, LogRows, Sent
from umemma.serving.http.metrics import Metrics
from umemma.serving.model import Model
from umemma.serving.row import Row
from umemma.settings import Count, Positive, Section

_MIB = 2**20
_PAUSE_SECONDS = 0.2


class Settings(Section):
    """Options of `umemma serve --log`."""

    log_rows: Count = 5000
    """answers in a file of the log, and of which none is written yet"""
    log_seconds: Positive = 60.0
    """seconds after which an answer is in a file"""
    log_mib: Count = 64
    """MiB that wait to be written; what comes beyond is not logged, and counted"""


class RequestLog:
    """Writes answers into `folder`; `keeps_media`: what was sent, too."""

    def __init__(self, folder: Path, model: Model, settings: Settings, *, keeps_media: bool = False) -> None:
        """Raises ParameterError if the folder cannot be written to."""
        self.keeps_media = keeps_media
        self._folder, self._settings = folder, settings
        self._making = LogRows(model, keeps_media=keeps_media)
        self._waiting: deque[Answered] = deque()
        self._waiting_bytes, self._is_stopped = 0, False
        self._changed = threading.Condition()
        self._rows: list[dict[str, Any]] = []
        self._row_bytes, self._num_files, self._is_failing = 0, 0, False
        self._thread = threading.Thread(target=self._work, name="log", daemon=True)
        self._metrics: Metrics | None = None
        _check(folder, self._making.schema)

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
        request = Answered(datetime.now(UTC) - timedelta(seconds=seconds), seconds, rows, answers, sent)
        size = request.num_bytes
        with self._changed:
            if self._waiting_bytes + size > self._settings.log_mib * _MIB:
                self._lost(len(answers), "queue")
                return
            self._waiting.append(request)
            self._waiting_bytes += size
            if self._is_pressed:
                self._changed.notify()

    def _work(self) -> None:
        """Take what waits some times a second: a thread that each request wakes takes Python's lock from its answer."""
        due = None
        while not self._is_stopped:
            with self._changed:
                self._changed.wait_for(lambda: self._is_stopped or self._is_pressed, _PAUSE_SECONDS)
            self._take_all()
            if due is None and self._rows:
                due = time.monotonic() + self._settings.log_seconds
            while self._is_full:
                self._write()
            if due is not None and time.monotonic() >= due:
                self._write()
                due = None
        self._take_all()
        while self._rows:
            self._write()

    @property
    def _is_pressed(self) -> bool:
        return self._waiting_bytes > self._settings.log_mib * _MIB / 2

    @property
    def _is_full(self) -> bool:
        return len(self._rows) >= self._settings.log_rows or self._row_bytes >= self._settings.log_mib * _MIB

    def _take_all(self) -> None:
        with self._changed:
            requests, self._waiting = list(self._waiting), deque()
        for row in self._making.of(requests):
            self._rows.append(row)
            self._row_bytes += len(row.get(SENT) or "")
        with self._changed:
            self._waiting_bytes -= sum(request.num_bytes for request in requests)

    def _write(self) -> None:
        """Write a file of the oldest rows. If that fails they are kept for the next time, or lost if there are too many."""
        rows, rest = self._rows[: self._settings.log_rows], self._rows[self._settings.log_rows :]
        try:
            _write(self._folder / log_files.name(self._num_files), rows, self._making.schema)
        except (OSError, DataError) as error:
            if not self._is_failing:
                _say(f"answers are not logged: {error}; they go on to be answered, and counted in the metrics")
            self._is_failing = True
            if not (self._is_full or self._is_stopped):
                return
            self._lost(len(rows), "disk")
        else:
            if self._is_failing:
                _say(f"answers are logged again, in {self._folder}")
            assert self._metrics is not None
            self._metrics.logged.inc(len(rows))
            self._is_failing = False
            self._num_files += 1
        self._rows, self._row_bytes = rest, sum(len(row.get(SENT) or "") for row in rest)

    def _lost(self, count: int, reason: str) -> None:
        assert self._metrics is not None
        self._metrics.unlogged.labels(reason).inc(count)


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
            if is_left(path):
                path.unlink(missing_ok=True)
    except (OSError, DataError) as error:
        raise ParameterError(f"--log {folder}: no files can be written there ({error})") from error


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)
