"""Progress of long work: a bar in a terminal, otherwise an occasional plain line (logs, CI, Prefect)."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
_LINE_SECONDS = 10.0


def shown(items: Iterable[Item], name: str, total: int | None) -> Iterator[Item]:
    """Yield the items, reporting how many of `total` are done; silent if all are done before the first line is due.

    `total` None: it is not known.
    """
    if sys.stderr.isatty():
        yield from tqdm(items, name, total)
        return
    last_line = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        if done != total and time.monotonic() - last_line >= _LINE_SECONDS:
            last_line = time.monotonic()
            print(f"{name}: {done}" + ("" if total is None else f" of {total}"), flush=True)
