"""The JSON and the quarantine of data/reports -> one page (report.html) and what `dvc plots` draws, both to MLflow.

`--show` only prints the table.
"""

import argparse
import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from umemma import parameters, tracking
from umemma.data import manifest, quarantine
from umemma.errors import run
from umemma.files import read_json, written_whole
from umemma.paths import home
from umemma.reporting import data_summary, page, tables

REPORTS = Path("data/reports")
PAGE, FOLDER = REPORTS / "report.html", REPORTS / "plots"
NAMES = ("robustness", "accounting", "gates", "masks", "validation")
_REASONS = 10  # that the page and the table name


def read() -> dict[str, Any]:
    """Return the content of each of NAMES, and as `data` what was left out and warned of."""
    found = {name: read_json(REPORTS / f"{name}.json") for name in NAMES}
    reasons = quarantine.reasons(quarantine.read(REPORTS / "quarantine.parquet"), _REASONS)
    return found | {"data": data_summary.summary(found["validation"], reasons)}


def write(found: Mapping[str, Any]) -> None:
    """Write the page, the tables and one picture of what `read` returned."""
    with written_whole(PAGE) as temporary:
        temporary.write_text(
            page.page(*(found[name] for name in ("robustness", "accounting", "gates", "masks", "data"))), "utf-8"
        )
    for name, rows in tables.tables(found["robustness"], found["accounting"]).items():
        _write_csv(FOLDER / f"{name}.csv", rows)
    with written_whole(FOLDER / "robustness.svg") as temporary:
        tables.picture(found["robustness"], temporary)


def _write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    with written_whole(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main() -> None:
    """Write the report, or only print the table of the last results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--show", action="store_true", help="print the table and write nothing")
    is_shown_only, found = parser.parse_args().show, read()
    if is_shown_only:
        print(tables.text_table(found["robustness"], found["accounting"]))
        print("", *data_summary.lines(found["data"]), sep="\n")
        print(f"\nreport:  {PAGE}")
        print(
            f"next:    source .venv/bin/activate; dvc exp run -S dataset={found['robustness']['dataset']['name']} "
            "-S fuse.missing_rate=0.25; dvc exp show; make ui"
        )
        return
    write(found)
    settings = parameters.read()
    shards = manifest.digest(Path("data/shards/manifest.parquet"))
    with tracking.run(
        "report",
        experiment=settings.dataset.name,
        shards_sha256=shards,
        home=home(),
        parameters={"seed": settings.seed, "arm": settings.arm},
    ) as tracked:
        tracked.final(tables.metrics(found["robustness"], found["accounting"]))
        for path in [PAGE, *(REPORTS / f"{name}.json" for name in NAMES), *sorted(FOLDER.iterdir())]:
            tracked.artifact(path, "report")
    print(f"written: {PAGE}; `make table` prints the results")


if __name__ == "__main__":
    run(main)
