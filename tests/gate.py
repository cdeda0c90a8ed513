"""The two stages between data and training, in one call."""

from pathlib import Path

from stages import validate
from stages.admit import admit
from umemma.validation.settings import Validation


def pass_gate(folder: Path, bounds: Validation, report: Path, gate: Path, accepted: Path | None = None) -> None:
    """Judge the shards in `folder`, then admit them. Raises GateFailure where an expectation failed."""
    validate.validate(folder, bounds, report, accepted)
    admit(report, gate)
