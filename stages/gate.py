"""The verdict on the model: exit code 1 where a gate failed (data/gates/method.json where none did).

The last stage, so that the report is written by then.
"""

from pathlib import Path

from stages import run
from umemma.errors import GateFailure
from umemma.files import write_json
from umemma.reporting import results
from umemma.reporting.results import Gates


def main() -> None:
    """Name every failure: pattern, arm, numbers."""
    verdict = results.read(Path("data/reports/gates.json"), Gates)
    failures = [(gate.gate, failure) for gate in verdict.gates for failure in gate.failures]
    for gate, failure in failures:
        print(f"FAILED {gate}: {failure}")
    if not verdict.passed:
        raise GateFailure(
            f"{len(failures)} failures in data/reports/gates.json; the whole picture is in data/reports/report.html"
        )
    write_json(Path("data/gates/method.json"), {"passed": True, "gates": [gate.gate for gate in verdict.gates]})
    print(f"{len(verdict.gates)} gates hold, {sum(gate.checked for gate in verdict.gates)} comparisons")


if __name__ == "__main__":
    run(main)
