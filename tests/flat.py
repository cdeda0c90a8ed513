"""Memory, descriptors, threads and disk over a long time: `python -m tests.flat requests --rounds 100 --each 10000`.

Work is done in rounds, and after each the sizes are taken. What leaks grows by the round; what is merely large does not.
The first half is warming up: allocators keep what they once had. `requests` and `predictions` ask a model in this process,
`epochs` trains one. Of a server of its own, `tests.serve_load --pid` shows the memory.
"""

import argparse
import asyncio
import ctypes
import gc
import json
import os
import random
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from tests import served_sample

KIB = 1024


@dataclass(frozen=True)
class Sizes:
    """Of a process and a folder, after a round."""

    memory: int
    descriptors: int
    threads: int
    disk: int


@dataclass(frozen=True)
class Growth:
    """Of the second half of the rounds: bytes that most add, descriptors and threads that all did, disk by least squares."""

    memory: float
    descriptors: int
    threads: int
    disk: float


def sizes(process: psutil.Process, folder: Path | None) -> Sizes:
    """Take the sizes now, without memory that is free: in what was large once, a leak would hide for long."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    files = [] if folder is None else [path for path in folder.rglob("*") if path.is_file()]
    disk = sum(path.stat().st_size for path in files)
    return Sizes(process.memory_info().rss, process.num_fds(), process.num_threads(), disk)


def taken(work: Callable[[int], None], rounds: int, folder: Path | None = None) -> list[Sizes]:
    """Do the rounds of work in this process, and return the sizes after each."""
    process, result = psutil.Process(os.getpid()), []
    for number in range(rounds):
        work(number)
        result.append(sizes(process, folder))
    return result


def growth(taken: list[Sizes]) -> Growth:
    """Return what a round added."""
    late = taken[len(taken) // 2 :]
    memory = float(np.median(np.diff([one.memory for one in late])))  # a library may take megabytes once, at any time
    disk = float(np.polyfit(range(len(late)), [one.disk for one in late], 1)[0])
    return Growth(memory, late[-1].descriptors - late[0].descriptors, late[-1].threads - late[0].threads, disk)


def requests(served: served_sample.Served, each: int, log: Path | None = None) -> Iterator[Callable[[int], None]]:
    """Yield work that sends `each` requests to a server's application, a third of them refused, and reads the metrics."""
    import umemma
    from umemma.serving.http import access
    from umemma.serving.http.app import app
    from umemma.serving.http.limits import Limits
    from umemma.serving.http.log import RequestLog, Settings
    from umemma.serving.http.service import Service

    model = umemma.load(served.folder)
    written = None if log is None else RequestLog(log, model, Settings(log_rows=50))
    service = Service(model, Limits(), served.table.parent, written)
    application = app(service, hosts=access.hosts("127.0.0.1", None))
    service.start()
    statuses: dict[int, int] = {}

    async def ask(method: str, path: str, body: bytes) -> None:
        sent = iter([{"type": "http.request", "body": body, "more_body": False}])

        async def receive() -> dict[str, object]:
            return next(sent, {"type": "http.disconnect"})

        async def send(message: dict[str, object]) -> None:
            if message["type"] == "http.response.start":
                status = int(str(message["status"]))
                statuses[status] = statuses.get(status, 0) + 1

        headers = [(b"host", b"127.0.0.1"), (b"content-type", b"application/json")]
        scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http"}
        scope |= {"path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "headers": headers}
        await application(scope | {"client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8000)}, receive, send)

    async def all_of(number: int) -> None:
        for index in range(each):
            drawn = random.Random(f"{number}/{index}")
            row: dict[str, object] = {"id": f"k{number}-{index}", "age": str(drawn.randint(1, 9))}
            if drawn.random() < 0.5:
                row["note"] = " ".join(drawn.choices(["purrs", "barks", f"w{drawn.random()}"], k=4))
            if index % 3 == 0:
                row[f"unknown{number}-{index}"] = "x"
            await ask("POST", "/predict", json.dumps(row).encode())
        await ask("GET", "/metrics", b"")

    try:
        yield lambda number: asyncio.run(all_of(number))
    finally:
        service.stop()
    assert set(statuses) == {200, 422}, statuses


def predictions(served: served_sample.Served, each: int) -> Iterator[Callable[[int], None]]:
    """Yield work that answers a table `each` times."""
    import umemma

    model = umemma.load(served.folder)

    def work(_: int) -> None:
        for _ in range(each):
            assert len(model.predict(served.table)) == len(served.rows)

    yield work


def epochs(_: served_sample.Served, each: int) -> Iterator[Callable[[int], None]]:
    """Yield work that trains a tower for `each` epochs, and saves it."""
    import torch

    from tests.test_loop import trained
    from umemma.data.batch import Batch
    from umemma.missingness import key_digest

    label = torch.arange(240) % 3
    values = {"image": torch.randn(240, 1, 8, 8)}
    media = Batch(values, torch.ones(240, 1, dtype=torch.bool), label, key_digest([f"k{i}" for i in range(240)]))
    yield lambda number: trained(media, number, epochs=float(each)) and None


KINDS = {"requests": requests, "predictions": predictions, "epochs": epochs}


@contextmanager
def prepared(kind: str, each: int, **options: object) -> Iterator[Callable[[int], None]]:
    """Yield the work of a kind, and end what it started."""
    with tempfile.TemporaryDirectory() as place:
        generator = KINDS[kind](served_sample.made(Path(place) / "served"), each, **options)
        yield next(generator)
        assert next(generator, None) is None


def main() -> None:
    """Print the sizes and the growth."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--each", type=int, default=1000)
    given = parser.parse_args()
    with prepared(given.kind, given.each) as work:
        found = taken(work, given.rounds)
    for one in found[:: max(1, given.rounds // 20)]:
        print(f"{one.memory / KIB**2:8.1f} MiB  {one.descriptors} descriptors  {one.threads} threads")
    grown = growth(found)
    print(
        f"{given.kind}: {grown.memory / given.each:.1f} bytes each, {grown.descriptors} descriptors, {grown.threads} threads"
    )


if __name__ == "__main__":
    main()
