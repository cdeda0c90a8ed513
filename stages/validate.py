"""Shards -> the verdict on them (data/reports/validation.json), good or bad; `admit` acts on it.

`--accept` makes this version the reference for later ones: a file in data/accepted, to be committed.
`--data-docs FOLDER` also builds Great Expectations' pages there.
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
from umemma.validation import drift, gate
from umemma.validation.expectation import Evidence
from umemma.validation.settings import Validation

SHARDS, REPORT = Path("data/shards"), Path("data/reports/validation.json")
ACCEPTED = Path("data/accepted")


def evidence(folder: Path, accepted: Path | None = None) -> Evidence:
    """Read the evidence; without the folder `accepted` it is not compared with an accepted version.

    Raises DataError if the files do not match their index.
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


def validate(folder: Path, bounds: Validation, report: Path, accepted: Path | None = None) -> None:
    """Judge the shards in `folder` and write the verdict.

    Raises DataError if the files do not match their index.
    """
    judged = evidence(folder, accepted)
    result = gate.judge(judged, bounds)
    facts = {"dataset": judged.index.dataset, "manifest_sha256": judged.index.manifest_sha256}
    results.write(report, results.Validation.model_validate(facts | result))
    for sentence in result["warnings"]:
        print(f"WARNING {sentence}")
    total, broken = len(result["expectations"]), len(result["failures"]) + len(result["warnings"])
    rest = ", the others warn" if result["passed"] else ", the others warn or failed"
    print(f"{judged.index.dataset}: {total - broken} of {total} expectations hold{rest if broken else ''}")


def accept(folder: Path, bounds: Validation, accepted: Path) -> Path:
    """Write the reference for later versions, and return its file. Raises GateFailure if the data fail."""
    judged = evidence(folder)
    result = gate.judge(judged, bounds)
    if result["failures"]:
        sentences = [f"{judged.index.dataset} is not accepted, as it fails for itself:", *result["failures"]]
        raise GateFailure("\n".join(sentences))
    path = accepted / f"{judged.index.dataset}.json"
    write_json(path, drift.accepted(judged.index, result["statistics"]))
    return path


def main() -> None:
    """Read the bounds; build the pages first, if requested, as they matter most when the data fail."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-docs", type=Path, metavar="FOLDER")
    parser.add_argument("--accept", action="store_true", help="compare later versions of the data with this one")
    arguments, bounds = parser.parse_args(), parameters.read().validation
    if arguments.accept:
        print(f"written: {accept(SHARDS, bounds, ACCEPTED)}; commit it, then `dvc repro`")
        return
    if arguments.data_docs:
        print(gate.data_docs(evidence(SHARDS, ACCEPTED), bounds, arguments.data_docs))
    validate(SHARDS, bounds, REPORT, ACCEPTED)


if __name__ == "__main__":
    run(main)
