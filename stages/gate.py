"""The verdict on the model: exit code 1 where a gate failed (data/gates/method.json where none did).

The last stage, so that the report is written by then.
"""

from pathlib import Path

from umemma.errors import GateFailure, run
from umemma.files import read_json, write_json


def main() -> None:
    """Name every failure, and every finding on what the arm does not promise: pattern, arm, numbers."""
    verdict = read_json(Path("data/reports/gates.json"))
    failures = [(one["gate"], failure) for one in verdict["gates"] for failure in one["failures"]]
    for gate, failure in failures:
        print(f"FAILED {gate}: {failure}")
    for one in verdict["gates"]:
        for finding in one.get("findings", []):
            print(f"FINDING {one['gate']}, which this arm does not promise: {finding}")
    if not verdict["passed"]:
        raise GateFailure(
            f"{len(failures)} failures in data/reports/gates.json; the whole picture is in data/reports/report.html"
        )
    judged = [one for one in verdict["gates"] if "findings" not in one]
    write_json(Path("data/gates/method.json"), {"passed": True, "gates": [one["gate"] for one in judged]})
    print(f"{len(judged)} gates hold, {sum(one['checked'] for one in judged)} comparisons")


if __name__ == "__main__":
    run(main)
