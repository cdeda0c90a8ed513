"""What the page and the terminal show, read from the reports of one run."""

from typing import NamedTuple

from umemma.reporting.data_summary import Summary
from umemma.reporting.results import Accounting, Classes, Gates, Masks, Robustness


class Reports(NamedTuple):
    """The reports of a run, and the summary of its data."""

    robustness: Robustness
    accounting: Accounting
    gates: Gates
    masks: Masks
    classes: Classes
    data: Summary
