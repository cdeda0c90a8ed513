"""Towers -> the specialists that every run is measured by (data/reference).

A specialist is trained for exactly one set of modalities, on all samples with what each has of it, and measured on test
samples in the same way; so are the additive ones alone.

All at the price of seconds, whatever the run's arm: towers stay frozen and only heads are trained. Specialists whose
towers are trained, too, are the arm `specialist`.
"""

from pathlib import Path

from stages import _context, _heads, run
from stages._resume import resumable
from umemma import parameters


def main() -> None:
    """Train specialists, from where a killed run was; write their predictions on validation and test data."""
    settings = parameters.read()
    with resumable("reference", _context.inputs(settings), settings):
        context, targets = _context.load(settings)
        _heads.write(Path("data/reference"), _heads.predicted(context, targets, settings), settings, targets)


if __name__ == "__main__":
    run(main)
