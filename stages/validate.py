"""Shards -> the verdict on them (data/reports/validation.json); only if they pass, the gate (data/gates/shards.json).

`--accept` makes this version the one that the next is compared with, a file of data/accepted to be committed.
`--data-docs FOLDER` also builds Great Expectations' pages there. The gate holds nothing of the bounds, so that a
change of these trains nothing anew.
"""

import argparse
from pathlib import Path
from typing import Any

from stages import run
from umemma import parameters
from umemma.data import quarantine, shards
from umemma.errors import DataError, GateFailure
from umemma.files import write_json
from umemma.reporting import results
from umemma.validation import drift
from umemma.validation import gate as expectations
from umemma.validation.expectation import Evidence
from umemma.validation.settings import Validation

SHARDS, REPORT, GATE = Path("data/shards"), Path("data/reports/validation.json"), Path("data/gates/shards.json")
ACCEPTED = Path("data/accepted")


def evidence(folder: Path, accepted: Path | None = None) -> Evidence:
    """Read what is to be judged; without `accepted`, a folder, it is compared with no earlier version.

    Raises DataError where the files are not those of their index.
    """
    index = shards.verify(folder)
    return Evidence(
        shards.read_manifest(folder),
        index,
        quarantine.read(folder / shards.QUARANTINE),
        _accepted(accepted, index.dataset) if accepted else None,
    )


def _accepted(folder: Path, dataset: str) -> dict[str, Any] | None:
    try:
        return drift.read(folder, dataset)
    except DataError as error:  # no run makes this file again
        raise DataError(f"{error}; `python -m stages.validate --accept` writes it anew") from error


def validate(folder: Path, bounds: Validation, report: Path, gate: Path, accepted: Path | None = None) -> None:
    """Judge the shards in `folder`. The report is written in any case, the gate only if they pass.

    Raises GateFailure where an expectation failed, DataError where the files are not those of their index.
    """
    gate.unlink(missing_ok=True)
    try:
        found = evidence(folder, accepted)
    except DataError as error:
        results.write(report, results.Validation(passed=False, error=str(error), statistics={}, expectations=[]))
        raise
    result = expectations.judge(found, bounds)
    results.write(report, results.Validation.model_validate(result))
    failed, total = expectations.failures(result), len(result["expectations"])
    for sentence in result["warnings"]:
        print(f"WARNING {sentence}")
    for sentence in failed:
        print(f"FAILED {sentence}")
    if failed:
        raise GateFailure(
            f"{found.index.dataset}: {len(failed)} of {total} expectations failed, as {report} tells; the bounds, and "
            "under validation.severity what only warns, are in params.yaml"
        )
    write_json(gate, {"manifest_sha256": found.index.manifest_sha256, "dataset": found.index.dataset, "passed": True})
    print(
        f"{found.index.dataset}: {total - len(result['warnings'])} of {total} expectations hold, the others warn"
        if result["warnings"]
        else f"{found.index.dataset}: {total} expectations hold"
    )


def accept(folder: Path, bounds: Validation, accepted: Path) -> Path:
    """Write what later versions are compared with, and return the file. Raises GateFailure where the data fail."""
    found = evidence(folder)
    result = expectations.judge(found, bounds)
    if failed := expectations.failures(result):
        raise GateFailure("\n".join([f"{found.index.dataset} is not accepted, as it fails for itself:", *failed]))
    path = accepted / f"{found.index.dataset}.json"
    write_json(path, drift.accepted(found.index, result["statistics"]))
    return path


def main() -> None:
    """Read the bounds; build the pages first where they are wanted, as they matter most when the data fail."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-docs", type=Path, metavar="FOLDER")
    parser.add_argument("--accept", action="store_true", help="compare later versions of the data with this one")
    arguments, bounds = parser.parse_args(), parameters.read().validation
    if arguments.accept:
        print(f"written: {accept(SHARDS, bounds, ACCEPTED)}; commit it, then `dvc repro`")
        return
    if arguments.data_docs:
        print(expectations.data_docs(evidence(SHARDS, ACCEPTED), bounds, arguments.data_docs))
    validate(SHARDS, bounds, REPORT, GATE, ACCEPTED)


if __name__ == "__main__":
    run(main)
