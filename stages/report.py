"""robustness.json -> what `dvc plots` draws and one picture (data/reports/plots). `--show` prints the table."""

import argparse
import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from umemma import report
from umemma.errors import run
from umemma.files import read_json, written_whole

RESULTS, FOLDER = Path("data/reports/robustness.json"), Path("data/reports/plots")


def write(results: report.Results, folder: Path) -> None:
    """Write patterns.csv, rates.csv and robustness.svg."""
    _write_csv(folder / "patterns.csv", report.pattern_rows(results))
    _write_csv(folder / "rates.csv", report.rate_rows(results))
    with written_whole(folder / "robustness.svg") as temporary:
        report.picture(results, temporary)


def _write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    with written_whole(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main() -> None:
    """Write the report, or only print the table of the last results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--show", action="store_true", help="print the table and write nothing")
    results = read_json(RESULTS)
    if parser.parse_args().show:
        print(report.text_table(results))
        print(f"\nresults: {RESULTS}, picture: {FOLDER}/robustness.svg")
        print(f"next:    source .venv/bin/activate; dvc exp run -S dataset={results['dataset']['name']} "
              "-S fuse.missing_rate=0.25; dvc exp show; make ui")
    else:
        write(results, FOLDER)
        print(f"written to {FOLDER}; `make table` prints the results")


if __name__ == "__main__":
    run(main)
