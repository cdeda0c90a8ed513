"""The JSON and the quarantine of data/reports, and the towers' results -> one page (report.html) and what `dvc plots` draws, both to MLflow.

`--show` only prints the table, `--log` only logs; slow imports happen only when the report is written.
"""

import argparse
import csv
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stages import run
from umemma.data import quarantine
from umemma.errors import DataError
from umemma.files import written_whole
from umemma.reporting import data_summary, results, tables, terminal
from umemma.reporting.data_summary import Summary
from umemma.reporting.next_step import next_step
from umemma.reporting.preview import Preview
from umemma.reporting.reports import Reports
from umemma.reporting.results import Accounting, Classes, Gates, Masks, Robustness, TowerResult, Validation
from umemma.tracking.record import LINEAGE, Run

REPORTS, SHARDS, TOWERS = Path("data/reports"), Path("data/shards"), Path("data/towers")
PAGE, FOLDER = REPORTS / "report.html", REPORTS / "plots"
_REASONS = 10  # listed in the page and the table
_PREVIEW_CHARS = 160_000  # of all pictures and sounds in the page


def read() -> Reports:
    """Read the reports of the last run."""
    accounting = results.read(REPORTS / "accounting.json", Accounting)
    towers = TOWERS / accounting.dataset.name
    return Reports(
        results.read(REPORTS / "robustness.json", Robustness),
        accounting,
        results.read(REPORTS / "gates.json", Gates),
        results.read(REPORTS / "masks.json", Masks),
        results.read(REPORTS / "classes.json", Classes),
        read_data(),
        {name: results.read(towers / name / "result.json", TowerResult) for name in accounting.modalities},
    )


def read_data() -> Summary:
    """Return the summary of quarantine and warnings."""
    reasons = quarantine.reasons(quarantine.read(REPORTS / "quarantine.parquet"), _REASONS)
    return data_summary.summary(results.read(REPORTS / "validation.json", Validation), reasons)


def previews(classes: Classes) -> dict[str, list[Preview]]:
    """Return {key: previews} of the wrong answers, the most confident first, as long as there is room in the page.

    A file that cannot be shown has the reason in its place.
    """
    import pyarrow as pa
    from pyarrow import compute, parquet

    from umemma.data import shards
    from umemma.media.preview import preview

    table = parquet.read_table(SHARDS / shards.MANIFEST, columns=["key", "shard"])
    keys = pa.array([answer.key for answer in classes.wrong], table["key"].type)
    shard = {row["key"]: row["shard"] for row in table.filter(compute.is_in(table["key"], keys)).to_pylist()}
    result: dict[str, list[Preview]] = {}
    room = _PREVIEW_CHARS
    for answer in classes.wrong:
        shown = []
        for modality, (suffix, content) in shards.files(SHARDS, shard[answer.key], answer.key).items():
            try:
                shown.append(preview(modality, suffix, content))
            except DataError as error:
                shown.append(Preview(modality, "text", f"cannot be shown: {error}"))
        room -= sum(len(part.content) for part in shown)
        if room < 0:
            break
        result[answer.key] = shown
    return result


def write(reports: Reports) -> None:
    """Write the page, the tables and one picture."""
    from umemma.reporting.page import page

    with written_whole(PAGE) as temporary:
        temporary.write_text(page(reports, previews(reports.classes)), "utf-8")
    for name, rows in tables.tables(reports.robustness, reports.accounting).items():
        _write_csv(FOLDER / f"{name}.csv", rows)
    with written_whole(FOLDER / "robustness.svg") as temporary:
        tables.picture(reports.robustness, temporary)


def run_of(reports: Reports) -> Run:
    """Return what MLflow is told: parameters, figures, curves, towers and model, and all files written here."""
    from stages import _tracking
    from umemma import parameters

    files = [
        PAGE,
        REPORTS / "predictions.csv",
        *(REPORTS / f"{name}.json" for name in results.REPORTS),
        *sorted(FOLDER.iterdir()),
    ]
    return _tracking.run(parameters.read(), reports, {"report": files, LINEAGE: _tracking.lineage()})


def track(reports: Reports, *options: str) -> None:
    """Keep the run for MLflow, and log what is kept.

    In a process of its own, so that the report depends neither on the model's code nor on whether MLflow can be reached.
    """
    from umemma.paths import home
    from umemma.tracking import record

    record.keep(run_of(reports), home())
    done = subprocess.run([sys.executable, "-m", "umemma.tracking.log", *options], check=False)
    if done.returncode:
        sys.exit(done.returncode)


def show(reports: Reports) -> None:
    """Print the data, the verdict, the table and the next command."""
    step = next_step(reports.robustness, reports.accounting)
    print(*terminal.first_lines(reports.accounting), *terminal.data_lines(reports.data), sep="\n")
    print("", *terminal.verdict_lines(reports.accounting), sep="\n")
    print("", terminal.table(reports.robustness, reports.accounting), sep="\n")
    for line in terminal.protocol_lines(reports.robustness):
        print(line)
    print(*terminal.encoder_lines(reports.towers), sep="\n")
    print(f"report:  {PAGE}")
    print(*terminal.next_lines(step), sep="\n")


def _write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    with written_whole(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main() -> None:
    """Write the report, or only print the table of the last results."""
    parser = argparse.ArgumentParser(description=__doc__)
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--show", action="store_true", help="print the table and write nothing")
    instead.add_argument("--log", action="store_true", help="log to MLflow what could not be logged, and the last run")
    given, reports = parser.parse_args(), read()
    if given.show or given.log:
        (show if given.show else track)(reports)
        return
    write(reports)
    track(reports, "--warn")
    print(f"written: {PAGE}; `make table` prints the results")


if __name__ == "__main__":
    run(main)
