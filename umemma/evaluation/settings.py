"""Settings of the evaluation."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field

from umemma.settings import OR_NULL, Count, Fraction, Section


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
    slope: float = 2.0
    """Of the mechanisms `mar`, `mnar` and `by_class`, under which expected results are listed: see `fuse.slope`."""
    protocols: Sequence[str] = ()
    """Protocols of the field by name, under which expected results are listed: `both 70`, `image 30 / text 100`, `each 30`
    (docs: Protocols).
    """
    own_protocols: Annotated[Mapping[str, Mapping[str, Mapping[str, Fraction]]], OR_NULL] = Field(default_factory=dict)
    """Protocols of your own: `{night: {any: {image+audio: 0.4, audio: 0.6}}}`, how often a sample keeps which set; with the
    names of classes in place of `any`, those of each.
    """
    threshold: Literal["validation", "half"]
    """Several labels: `validation` takes for each class the threshold with the best expected F1 on validation data,
    `half` a probability of 0.5.
    """


class Promotion(Section):
    """What a model must show to become champion, on the test samples of its run."""

    metric: Literal["auto", "accuracy", "f1_micro", "auroc", "auprc"]
    """Score in which models are compared; `auto`: accuracy; of several labels micro F1; where one class has more than
    three quarters of the samples, AUROC and AUPRC.
    """
    patterns: Literal["all"] | Sequence[str]
    """The sets of modalities that matter, such as `[image+audio, audio]`; `all`: each that was measured."""
    margin: Annotated[float, Field(ge=0, lt=1)]
    """How much lower than the champion's a score may be, as a fraction: that it is not must be shown, so the whole 95 %
    interval of the difference lies above minus this.
    """
    unclear: Literal["refuse", "accept"]
    """Where there are too few test samples to show either that it is worse or that it is not."""
    lowest: Annotated[Mapping[str, Fraction], OR_NULL]
    """The score that any champion must reach, the first one too, by set: `{image+audio: 0.8, audio: 0.6}`."""
