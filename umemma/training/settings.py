"""How towers and arms are trained, and on what device."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field

from umemma.settings import Count, Fraction, Positive, Section

ArmName = Literal["uni", "joint", "joint+mma", "ump", "ume-mma", "ensemble", "frozen", "early", "specialist"]


class Compute(Section):
    """Where and how tensors are computed; `threads` null: all cores. Only equal settings repeat a seed exactly."""

    device: Literal["auto", "cpu", "cuda"]
    precision: Literal["auto", "float32", "bfloat16"]
    threads: Count | None


class Pretrain(Section):
    """How every tower is trained; how long is each modality's own setting.

    `class_balance`: 0 weighs every sample the same, 1 every class; see `umemma.metrics.loss`.
    """

    batch_size: Count
    lr: Positive
    weight_decay: Annotated[float, Field(ge=0)]
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    class_balance: Fraction


class Fuse(Section):
    """Fusion. `missing_rate`: one number, or one for each modality by name (one left out is never hidden)."""

    head: str
    substitute: Literal["none", "zeros", "train_mean", "noise", "donor", "learned"]
    substitute_at: Literal["feature", "input"]
    protocol: Literal["independent", "absent", "balanced"]
    missing_rate: Fraction | Mapping[str, Fraction]
    epochs: Positive
    batch_size: Count
    lr: Positive
    tower_lr: Positive
    weight_decay: Annotated[float, Field(ge=0)]
    class_balance: Fraction


def missing_rates(fuse: Fuse, modalities: Sequence[str]) -> tuple[float, ...]:
    """Return one missing rate per modality, in the data set's order.

    A single number is each modality's rate; with protocol `balanced` it is the share of samples that lose one of them.
    """
    rate = fuse.missing_rate
    if isinstance(rate, Mapping):
        return tuple(float(rate.get(name, 0.0)) for name in modalities)
    return (float(rate) / (len(modalities) if fuse.protocol == "balanced" else 1),) * len(modalities)
