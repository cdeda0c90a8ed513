"""What the page and the terminal show, read from the reports of one run."""

from collections.abc import Mapping
from typing import NamedTuple

from umemma.reporting.data_summary import Summary
from umemma.reporting.results import Accounting, Classes, Gates, Masks, Robustness, TowerResult


class Reports(NamedTuple):
    """The reports of a run, the summary of its data, and the result of each modality's tower."""

    robustness: Robustness
    accounting: Accounting
    gates: Gates
    masks: Masks
    classes: Classes
    data: Summary
    towers: Mapping[str, TowerResult]
