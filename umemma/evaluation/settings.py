"""Settings of the evaluation."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from umemma.settings import Count, Fraction, Section


class Evaluate(Section):
    """`rates`: the missing rates of one modality, and of all alike. `significance`: of the gates' tests.

    `threshold`: per-class decision thresholds for multi-label data.
    """

    rates: Annotated[Sequence[Fraction], Field(min_length=1)]
    """Missing rates of one modality, and of all alike, at which results are listed."""
    bootstrap_replicates: Count
    """Of every interval."""
    significance: Annotated[float, Field(gt=0, lt=1)]
    """Level of the gate "never below the uni-modal model"."""
    threshold: Literal["validation", "half"]
    """Several labels: `validation` takes for each class the threshold with the best expected F1 on validation data,
    `half` a probability of 0.5.
    """
