"""The bench as a plain table."""

from collections.abc import Mapping, Sequence
from typing import Any

_BUSY = 0.5  # load of other processes from which times say little


def lines(report: Mapping[str, Any]) -> list[str]:
    """Return the lines: the machine, a row for each training with its floor, and the comparison with plain PyTorch."""
    machine, plain = report["machine"], report["plain"]
    products = ", ".join(f"{name} {rate / 1e9:,.0f} GFLOP/s" for name, rate in machine["product_flops"].items())
    device = "" if machine["device"] == "cpu" else f", {machine['device']}"
    return [
        f"{machine['processor']}, {machine['cores']} cores, {machine['threads']} threads{device}, "
        f"torch {machine['torch']}, load {machine['load']:g}"
        + (": others were at work, so times are too long" if machine["load"] > _BUSY else ""),
        f"products {products}; memory {machine['memory_bytes'] / 1e9:.1f} GB/s; "
        f"disk {machine['disk_write_bytes'] / 1e6:,.0f} MB/s written, {machine['disk_read_bytes'] / 1e6:,.0f} read",
        "",
        *_rows(report["trainings"]),
        "",
        f"a step of two LeNets at {plain['side_px']} px: {plain['samples_per_second']:g} samples per "
        f"{'CPU-second' if machine['device'] == 'cpu' else 'second'}, plain float32 "
        f"{plain['plain_samples_per_second']:g}: {plain['times_faster']:g} times faster",
    ]


def _rows(trainings: Mapping[str, Mapping[str, Any]]) -> list[str]:
    parts = list(next(iter(trainings.values()))["parts"])
    header = ["", "seconds", "floor", "share", "GFLOP", "GB", *parts]
    rows = [
        [
            name,
            f"{training['seconds']:.1f}",
            f"{training['floor_seconds']:.1f}",
            f"{training['share']:.0%}",
            f"{training['flops'] / 1e9:,.0f}",
            f"{training['bytes'] / 1e9:,.0f}",
            *(f"{training['parts'][part] / training['seconds']:.0%}" for part in parts),
        ]
        for name, training in trainings.items()
    ]
    return _aligned([header, *rows])


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if number == 0 else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
