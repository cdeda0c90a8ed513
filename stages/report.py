"""The JSON and the quarantine of data/reports -> one page (report.html) and what `dvc plots` draws, both to MLflow.

`--show` only prints the table; slow imports happen only when the report is written.
"""

import argparse
import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from stages import run
from umemma.data import quarantine
from umemma.files import sha256, written_whole
from umemma.reporting import data_summary, results, tables, terminal
from umemma.reporting.data_summary import Summary
from umemma.reporting.results import Accounting, Gates, Masks, Robustness, Validation

REPORTS = Path("data/reports")
PAGE, FOLDER = REPORTS / "report.html", REPORTS / "plots"
_REASONS = 10  # listed in the page and the table


class Reports(NamedTuple):
    """The content of the page."""

    robustness: Robustness
    accounting: Accounting
    gates: Gates
    masks: Masks
    data: Summary


def read() -> Reports:
    """Read the reports of the last run."""
    return Reports(
        results.read(REPORTS / "robustness.json", Robustness),
        results.read(REPORTS / "accounting.json", Accounting),
        results.read(REPORTS / "gates.json", Gates),
        results.read(REPORTS / "masks.json", Masks),
        read_data(),
    )


def read_data() -> Summary:
    """Return the summary of quarantine and warnings."""
    reasons = quarantine.reasons(quarantine.read(REPORTS / "quarantine.parquet"), _REASONS)
    return data_summary.summary(results.read(REPORTS / "validation.json", Validation), reasons)


def write(reports: Reports) -> None:
    """Write the page, the tables and one picture."""
    from umemma.reporting.page import page

    with written_whole(PAGE) as temporary:
        temporary.write_text(page(*reports), "utf-8")
    for name, rows in tables.tables(reports.robustness, reports.accounting).items():
        _write_csv(FOLDER / f"{name}.csv", rows)
    with written_whole(FOLDER / "robustness.svg") as temporary:
        tables.picture(reports.robustness, temporary)


def track(reports: Reports) -> None:
    """Log the run to MLflow: parameters, figures, curves, towers and model, and all files written here."""
    from stages import _tracking
    from umemma import parameters, tracking
    from umemma.paths import home

    settings = parameters.read()
    files = [PAGE, *(REPORTS / f"{name}.json" for name in results.REPORTS), *sorted(FOLDER.iterdir())]
    tracking.log(
        _tracking.record(settings, tables.metrics(reports.robustness, reports.accounting), {"report": files}),
        experiment=settings.dataset.name,
        shards=Path("data/shards"),
        shards_sha256=sha256(Path("data/shards/manifest.parquet")),
        home=home(),
    )


def show(reports: Reports) -> None:
    """Print the table."""
    print(terminal.table(reports.robustness, reports.accounting))
    print("", *terminal.data_lines(reports.data), sep="\n")
    print(f"\nreport:  {PAGE}")
    print("next:    source .venv/bin/activate; dvc exp run -S fuse.missing_rate=0.25; make exps; make ui")


def _write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    with written_whole(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main() -> None:
    """Write the report, or only print the table of the last results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--show", action="store_true", help="print the table and write nothing")
    is_shown_only, reports = parser.parse_args().show, read()
    if is_shown_only:
        show(reports)
        return
    write(reports)
    track(reports)
    print(f"written: {PAGE}; `make table` prints the results")


if __name__ == "__main__":
    run(main)
