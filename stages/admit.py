"""The verdict on the shards -> the gate between data and training (data/gates/shards.json), or exit code 1.

A separate stage, so that the verdict of a failed gate is an output like any other: DVC takes a file left by a failed
stage for the user's and would not replace it. The gate's file does not contain the bounds, so that changing these
retrains nothing.
"""

from pathlib import Path

from stages import run
from umemma.errors import GateFailure
from umemma.files import write_json
from umemma.reporting import results
from umemma.reporting.results import Validation


def admit(report: Path, gate: Path) -> None:
    """Write the gate. Raises GateFailure where an expectation failed."""
    gate.unlink(missing_ok=True)
    verdict = results.read(report, Validation)
    for sentence in verdict.failures:
        print(f"FAILED {sentence}")
    if not verdict.passed:
        raise GateFailure(
            f"{verdict.dataset}: {len(verdict.failures)} of {len(verdict.expectations)} expectations failed, as "
            f"listed in {report}; `validation` in conf/dataset/{verdict.dataset}.yaml sets bounds and severities, and "
            f"`make run DATASET={verdict.dataset}` judges by them"
        )
    write_json(gate, {"manifest_sha256": verdict.manifest_sha256, "dataset": verdict.dataset, "passed": True})


def main() -> None:
    """Admit the shards or stop."""
    admit(Path("data/reports/validation.json"), Path("data/gates/shards.json"))


if __name__ == "__main__":
    run(main)
