"""One request from its body to its answers, within the limits."""

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from starlette.requests import Request

from umemma.serving.http import body
from umemma.serving.http.batching import Batching
from umemma.serving.http.cells import Cells
from umemma.serving.http.limits import Limits, Refused, busy, option, over
from umemma.serving.http.log import RequestLog
from umemma.serving.http.metrics import Metrics
from umemma.serving.model import COVERAGE, Model
from umemma.serving.reader import Row

_STOP_SECONDS = 1.0
_LOG_SECONDS = 2.0


class Service:
    """A model that answers requests; `root` is the folder that paths in them are relative to, None for no files.

    What is answered is written to `log`, if there is one.
    """

    def __init__(self, model: Model, limits: Limits, root: Path | None, log: RequestLog | None = None) -> None:
        self.model, self.limits, self.metrics, self._log = model, limits, Metrics(model), log
        self.cells = Cells(model.reader, limits, root)
        self.batching = Batching(model, limits, self.metrics)
        self._decoders = ThreadPoolExecutor(limits.decoders, "decoder")
        self._num_requests = 0

    def start(self) -> None:
        """Answer once, which makes the next answer fast, and begin to serve."""
        inputs = self.model.inputs.decoded
        blank = {name: torch.zeros(*one.shape, dtype=getattr(torch, one.dtype)) for name, one in inputs.items()}
        self.model.answers([Row("", "", blank)], coverage=COVERAGE)
        texts = {one.columns[0]: "a" for one in self.model.reader.sources.values() if one.inline}
        # A tokenizer sets itself up with its first text, which two threads must not do at once.
        self.cells.rows(texts, "")
        self.batching.start()
        if self._log is not None:
            self._log.start(self.metrics)

    def stop(self) -> None:
        """Refuse what has not begun."""
        self.batching.stop(_STOP_SECONDS)
        self._decoders.shutdown(wait=False, cancel_futures=True)
        if self._log is not None:
            self._log.stop(_LOG_SECONDS)

    @property
    def is_ready(self) -> bool:
        """Would a request be answered now?"""
        return self.batching.is_alive and not self.batching.is_full and not self._is_full

    async def answers(self, request: Request, coverage: float, *, strict: bool) -> list[dict[str, Any]]:
        """Answer each row of a request; refuse it whole if that cannot be done, or something could not be used in `strict`."""
        if self._is_full:
            raise busy(self.limits, "requests_at_once", "too many requests are answered now")
        self._count(+1)
        try:
            return await self._answers(request, coverage, strict=strict)
        finally:
            self._count(-1)

    async def _answers(self, request: Request, coverage: float, *, strict: bool) -> list[dict[str, Any]]:
        started, content, loop = time.perf_counter(), None, asyncio.get_running_loop()
        kind = body.kind(request)
        try:
            async with asyncio.timeout(self.limits.seconds):
                content = await body.read(request, self.limits)
                written = request.headers["content-type"]
                rows, sent = await loop.run_in_executor(self._decoders, self._rows, kind, written, content)
                if strict:
                    _check_whole(rows)
                answers = await self.batching.answers(rows, coverage)
        except TimeoutError as error:
            what = "the body did not arrive" if content is None else "there was no answer"
            sentence = f"{what} within {self.limits.seconds:g} s ({option('seconds')})"
            raise Refused(408 if content is None else 503, "seconds", sentence) from error
        seconds = time.perf_counter() - started
        self.metrics.answered(answers, seconds)
        if self._log is not None:
            self._log.add(rows, answers, sent if self._log.keeps_media else (), seconds=seconds)
        return [{"model": self.model.digest, **answer.content()} for answer in answers]

    def _rows(self, kind: str, content_type: str, content: bytes) -> tuple[list[Row], list[body.Row | None]]:
        """Return the rows, and what was sent for each; for all but the first window of a row nothing."""
        rows: list[Row] = []
        sent: list[body.Row | None] = []
        for number, written in enumerate(body.rows(kind, content_type, content, self.limits), start=1):
            rows += self.cells.rows(written, f"row {number}")
            if len(rows) > self.limits.rows:
                raise over(self.limits, "rows", f"row {number} is cut into windows, {len(rows):,} rows in all")
            sent += [written, *[None] * len(rows)][: len(rows) - len(sent)]
        return rows, sent

    @property
    def _is_full(self) -> bool:
        return self._num_requests >= self.limits.requests_at_once

    def _count(self, change: int) -> None:
        self._num_requests += change
        self.metrics.requests.set(self._num_requests)


def _check_whole(rows: Sequence[Row]) -> None:
    for row in rows:
        reasons = [*(f"{name}: {why}" for name, why in row.rejected.items()), *row.notes]
        if reasons:
            raise Refused(422, "strict", f"{row.place}: {'; '.join(reasons)}")
