"""Rows of many requests go to the model together, in one thread; what each is answered does not depend on the others.

Patterns may be mixed: every encoder runs once over the rows that have its modality, and not for the others
(`umemma.prediction.predict.answered`). Requests of one coverage share a batch.
"""

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from umemma.serving.answer import Answer
from umemma.serving.http.limits import Limits, Refused, busy
from umemma.serving.http.metrics import Metrics
from umemma.serving.model import Model
from umemma.serving.reader import Row

Outcome = list[Answer] | Exception


@dataclass(frozen=True, eq=False)
class _Waiting:
    """A request's rows, and the future that its handler waits for on `loop`."""

    rows: Sequence[Row]
    coverage: float
    future: asyncio.Future[list[Answer]]
    loop: asyncio.AbstractEventLoop

    def set(self, outcome: Outcome) -> None:
        """Hand over the outcome; from any thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self.loop.call_soon_threadsafe(self._set, outcome)

    def _set(self, outcome: Outcome) -> None:
        if self.future.done():  # it took too long
            return
        if isinstance(outcome, Exception):
            self.future.set_exception(outcome)
        else:
            self.future.set_result(outcome)


class Batching:
    """A queue of rows and the thread that answers them."""

    def __init__(self, model: Model, limits: Limits, metrics: Metrics) -> None:
        self._model, self._limits, self._metrics = model, limits, metrics
        self._waiting: deque[_Waiting] = deque()
        self._num_rows = 0
        self._is_stopped = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="model", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Finish what is being answered, refuse what waits, and end the thread."""
        with self._changed:
            self._is_stopped = True
            left = list(self._waiting)
            self._waiting.clear()
            self._changed.notify_all()
        for one in left:
            one.set(Refused(503, "stopping", "the server is stopping"))
        self._thread.join(seconds)

    @property
    def is_alive(self) -> bool:
        """Is the thread there to answer?"""
        return self._thread.is_alive() and not self._is_stopped

    @property
    def is_full(self) -> bool:
        """Would a row be refused?"""
        return self._num_rows >= self._limits.waiting_rows

    async def answers(self, rows: Sequence[Row], coverage: float) -> list[Answer]:
        """Answer the rows, in order. Refuses them if too many wait already."""
        if not rows:
            return []
        loop = asyncio.get_running_loop()
        waiting = _Waiting(rows, coverage, loop.create_future(), loop)
        with self._changed:
            if self._is_stopped:
                raise Refused(503, "stopping", "the server is stopping")
            if self._waiting and self._num_rows + len(rows) > self._limits.waiting_rows:
                raise busy(self._limits, "waiting_rows", "too many rows wait for the model")
            self._waiting.append(waiting)
            self._count(len(rows))
            self._changed.notify()
        return await waiting.future

    def _count(self, change: int) -> None:
        self._num_rows += change
        self._metrics.waiting_rows.set(self._num_rows)

    def _work(self) -> None:
        while batch := self._batch():
            for coverage in dict.fromkeys(one.coverage for one in batch):
                self._answer([one for one in batch if one.coverage == coverage])

    def _batch(self) -> list[_Waiting]:
        """Wait for rows, and a little longer for more; nothing once the server stops."""
        most = self._limits.batch_rows
        with self._changed:
            while not self._waiting and not self._is_stopped:
                self._changed.wait()
            end = time.monotonic() + self._limits.batch_ms / 1000
            while self._num_rows < most and not self._is_stopped and (left := end - time.monotonic()) > 0:
                self._changed.wait(left)
            batch: list[_Waiting] = []
            while self._waiting and (not batch or sum(len(one.rows) for one in (*batch, self._waiting[0])) <= most):
                batch.append(self._waiting.popleft())
                self._count(-len(batch[-1].rows))
        return batch

    def _answer(self, batch: Sequence[_Waiting]) -> None:
        batch = [one for one in batch if not one.future.done()]
        rows = [row for one in batch for row in one.rows]
        if not rows:
            return
        try:
            answers = self._model.answers(rows, coverage=batch[0].coverage)
        except Exception as error:  # of one row, perhaps: the others' requests must not fail with it
            if len(batch) == 1:
                batch[0].set(error)
            for one in batch if len(batch) > 1 else ():
                self._answer([one])
            return
        self._metrics.batch_rows.observe(len(rows))
        for one in batch:
            of_request, answers = answers[: len(one.rows)], answers[len(one.rows) :]
            one.set(of_request)
