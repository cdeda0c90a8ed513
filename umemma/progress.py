"""Long work, shown as it goes: a bar in a terminal, else a plain line now and then (a log, CI, Prefect)."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
_LINE_SECONDS = 10.0


def shown(items: Iterable[Item], name: str, total: int) -> Iterator[Item]:
    """Yield the items, telling how many of `total` are done; silent where all is done before the first line is due."""
    if sys.stderr.isatty():
        yield from tqdm(items, name, total)
        return
    told = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        if done < total and time.monotonic() - told >= _LINE_SECONDS:
            told = time.monotonic()
            print(f"{name}: {done} of {total}", flush=True)
