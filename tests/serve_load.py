"""Puts load on a server of any model: `python -m tests.serve_load PORT MODEL ROWS.jsonl --requests 10000`.

ROWS.jsonl holds rows as the server takes them, files as {"base64": ...}. Each request leaves out a random part of a
random row, one to five rows at once, and its answers are compared with those of the model alone. Prints requests a second,
latency by pattern, differences, statuses, and the server's memory; only this machine is ever asked.
"""

import argparse
import itertools
import json
import random
import statistics
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path

import umemma
from umemma.serving.http.cells import Cells
from umemma.serving.http.limits import Limits


@dataclass
class Outcome:
    """What came back."""

    statuses: Counter = field(default_factory=Counter)
    different: int = 0
    answers: int = 0
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    wall: float = 0.0


def questions(folder, rows):
    """Return [(row as sent, its probabilities from the model alone)] of every row and every part of it."""
    model = umemma.load(folder)
    cells, names, found = Cells(model.reader, Limits(), None), model.modalities, []
    for row in rows:
        for pattern in itertools.product((False, True), repeat=len(names)):
            there = [name for name, is_there in zip(names, pattern, strict=True) if is_there]
            columns = [column for name in there for column in (name, *model.reader.columns[name])]
            left = {column: row[column] for column in columns if column in row}
            (answer,) = model.answers(cells.rows(left, "row 1"))
            found.append((left, answer.content()))
    return found


def load(port, asked, *, requests, concurrency, seed=0, most_rows=5):
    """Send requests from as many threads, each over one connection."""
    outcome, lock, numbers = Outcome(), threading.Lock(), iter(range(requests))

    def work():
        connection = HTTPConnection("127.0.0.1", port, timeout=60)
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                break
            drawn = random.Random(f"{seed}/{number}")
            rows = drawn.choices(asked, k=drawn.randint(1, most_rows) if number % 4 == 0 else 1)
            body = json.dumps([row for row, _ in rows])
            started = time.perf_counter()
            connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            content = json.loads(response.read())
            seconds = time.perf_counter() - started
            with lock:
                _note(outcome, response.status, content, rows, seconds)
        connection.close()

    threads, started = [threading.Thread(target=work) for _ in range(concurrency)], time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    outcome.wall = time.perf_counter() - started
    return outcome


def _note(outcome, status, content, rows, seconds):
    outcome.statuses[status] += 1
    for answer, (_, expected) in zip(content.get("answers", ()), rows, strict=False):
        outcome.answers += 1
        outcome.seconds["+".join(answer["used"]) or "nothing"].append(seconds)
        outcome.different += any(answer[name] != expected[name] for name in expected if name != "place")


def memory_mb(pid):
    """Return the resident memory of a process."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def quantile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("model", type=Path)
    parser.add_argument("rows", type=Path)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--concurrency", type=int, default=4)
    parser.add_argument("--pid", type=int, help="of the server, whose memory is shown after each tenth")
    given = parser.parse_args()
    asked = questions(given.model, [json.loads(line) for line in given.rows.read_text().splitlines()])
    load(given.port, asked, requests=100, concurrency=given.concurrency, seed=1)
    whole, memory = Outcome(), []
    for part in range(10):
        one = load(given.port, asked, requests=given.requests // 10, concurrency=given.concurrency, seed=part)
        whole.statuses += one.statuses
        whole.different, whole.answers, whole.wall = (
            whole.different + one.different,
            whole.answers + one.answers,
            whole.wall + one.wall,
        )
        for name, values in one.seconds.items():
            whole.seconds[name] += values
        memory += [memory_mb(given.pid)] if given.pid else []
    print(
        f"{sum(whole.statuses.values()):,} requests, {whole.answers:,} answers, {whole.different} different, "
        f"statuses {dict(whole.statuses)}, {sum(whole.statuses.values()) / whole.wall:.0f} requests/s"
    )
    for name, values in sorted(whole.seconds.items()):
        median, p99 = statistics.median(values) * 1000, quantile(values, 0.99) * 1000
        print(f"{name:30} {len(values):7,} p50 {median:6.1f} ms  p99 {p99:6.1f} ms")
    if memory:
        print("memory, MB:", " ".join(f"{value:.0f}" for value in memory))


if __name__ == "__main__":
    main()
