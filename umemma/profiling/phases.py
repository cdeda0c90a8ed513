"""Where the time of a training goes, by the phases that it names for profilers."""

import time
from collections.abc import Callable
from typing import TypeVar

from torch.profiler import ProfilerActivity, profile

STEP = ("data", "forward", "backward", "optimiser")
PHASES = (*STEP, "validation", "encoding")
Result = TypeVar("Result")


def timed(train: Callable[[], Result]) -> tuple[Result, dict[str, float]]:
    """Run a training; return its result and seconds by phase, with the `rest` that no phase covers."""
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        start = time.perf_counter()
        result = train()
        seconds = time.perf_counter() - start
    found = {event.key: event.cpu_time_total / 1e6 for event in profiler.key_averages() if event.key in PHASES}
    by_phase = {name: found.get(name, 0.0) for name in PHASES}
    return result, by_phase | {"rest": max(0.0, seconds - sum(by_phase.values()))}
