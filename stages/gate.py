"""The verdict on the model: exit code 1 where a gate failed (data/gates/method.json where none did).

The last stage, so that the report is written by then.
"""

from pathlib import Path

from umemma.errors import GateFailure, run
from umemma.files import read_json, write_json


def main() -> None:
    """Name every failure: pattern, arm, numbers."""
    verdict = read_json(Path("data/reports/gates.json"))
    failures = [(one["gate"], failure) for one in verdict["gates"] for failure in one["failures"]]
    for gate, failure in failures:
        print(f"FAILED {gate}: {failure}")
    if not verdict["passed"]:
        raise GateFailure(
            f"{len(failures)} failures in data/reports/gates.json; the whole picture is in data/reports/report.html"
        )
    write_json(Path("data/gates/method.json"), {"passed": True, "gates": [one["gate"] for one in verdict["gates"]]})
    print(f"{len(verdict['gates'])} gates hold, {sum(one['checked'] for one in verdict['gates'])} comparisons")


if __name__ == "__main__":
    run(main)
