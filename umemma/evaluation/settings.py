"""What is evaluated, and how finely."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from umemma.settings import Count, Fraction, Section


class Evaluate(Section):
    """`rates`: the missing rates each modality takes in the grid. `significance`: of the gates' tests.

    `threshold`: where yes begins for each class of multi-label data.
    """

    rates: Annotated[Sequence[Fraction], Field(min_length=1)]
    batch_size: Count
    bootstrap_replicates: Count
    significance: Annotated[float, Field(gt=0, lt=1)]
    threshold: Literal["validation", "half"]
