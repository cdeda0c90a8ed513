"""The verdict on the model: exit code 1 where a gate failed (data/gates/method.json where none did).

The last stage, so that the report is already written.
"""

from pathlib import Path

from stages import run
from umemma.errors import GateFailure
from umemma.files import write_json
from umemma.reporting import results
from umemma.reporting.results import Gates


def main() -> None:
    """Print every failure, and every finding on what the arm does not promise: pattern, arm, numbers."""
    verdict = results.read(Path("data/reports/gates.json"), Gates)
    failures = [(gate.gate, failure) for gate in verdict.gates for failure in gate.failures]
    for name, failure in failures:
        print(f"FAILED {name}: {failure}")
    for gate in verdict.gates:
        for finding in gate.findings or []:
            print(f"FINDING {gate.gate}, which this arm does not promise: {finding}")
    if not verdict.passed:
        raise GateFailure(
            f"{len(failures)} failures in data/reports/gates.json; details are in data/reports/report.html"
        )
    judged = [gate for gate in verdict.gates if gate.findings is None]
    write_json(Path("data/gates/method.json"), {"passed": True, "gates": [gate.gate for gate in judged]})
    print(f"{len(judged)} gates hold, {sum(gate.checked for gate in judged)} comparisons")


if __name__ == "__main__":
    run(main)
