"""Shards -> the verdict on them (data/reports/validation.json); only if they pass, the gate (data/gates/shards.json).

`--data-docs FOLDER` also builds Great Expectations' pages there. The gate holds nothing of the bounds, so that a
change of these trains nothing anew.
"""

import argparse
from pathlib import Path

from umemma import expectations, parameters, shards
from umemma.errors import DataError, GateFailure, run
from umemma.files import write_json
from umemma.parameters import Validation

SHARDS, REPORT, GATE = Path("data/shards"), Path("data/reports/validation.json"), Path("data/gates/shards.json")


def validate(folder: Path, bounds: Validation, report: Path, gate: Path) -> None:
    """Judge the shards in `folder`. The report is written in any case, the gate only if they pass.

    Raises GateFailure where an expectation failed, DataError where the files are not those of their index.
    """
    gate.unlink(missing_ok=True)
    try:
        index = shards.verify(folder)
    except DataError as error:
        write_json(report, {"passed": False, "error": str(error), "statistics": {}, "expectations": []})
        raise
    result = expectations.judge(shards.read_manifest(folder), index, bounds)
    write_json(report, result)
    failed, total = expectations.failures(result), len(result["expectations"])
    for sentence in failed:
        print(f"FAILED {sentence}")
    if failed:
        raise GateFailure(f"{index.dataset}: {len(failed)} of {total} expectations failed, as {report} tells")
    write_json(gate, {"manifest_sha256": index.manifest_sha256, "dataset": index.dataset, "passed": True})
    print(f"{index.dataset}: {total} expectations hold")


def main() -> None:
    """Read the bounds; build the pages first where they are wanted, as they matter most when the data fail."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-docs", type=Path, metavar="FOLDER")
    docs, bounds = parser.parse_args().data_docs, parameters.read().validation
    if docs:
        index = shards.verify(SHARDS)
        print(expectations.data_docs(shards.read_manifest(SHARDS), index, bounds, docs))
    validate(SHARDS, bounds, REPORT, GATE)


if __name__ == "__main__":
    run(main)
