"""Settings of the training of towers and arms, and of the device."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from umemma.launchers.launcher import LauncherName
from umemma.named_protocol import is_named, of_training
from umemma.settings import OR_NULL, Count, CountOrAuto, Fraction, Positive, PositiveOrAuto, Section

if TYPE_CHECKING:
    from umemma.models.device import Device

ArmName = Literal[
    "uni",
    "joint",
    "joint+mma",
    "ump",
    "ume-mma",
    "ensemble",
    "frozen",
    "early",
    "specialist",
    "grown",
    "linear",
    "trees",
]
ProtocolName = Literal["independent", "absent", "balanced", "mcar", "mar", "mnar", "by_class"]


def _protocol(text: str) -> str:
    """Return a protocol's name; whether it fits the modalities is known only with them."""
    if text not in get_args(ProtocolName) and not is_named(text):
        *most, last = map(repr, get_args(ProtocolName))
        raise PydanticCustomError(
            "protocol", f"Input should be {', '.join(most)} or {last}, or a name such as 'both 70' (docs: Protocols)"
        )
    return text


class Compute(Section):
    """Where and how tensors are computed; `threads` null: all cores. Only equal settings repeat a seed exactly."""

    device: Literal["auto", "cpu", "cuda"]
    """`auto` takes a GPU where torch sees one."""
    precision: Literal["auto", "float32", "bfloat16"]
    """Of forward passes; `auto`: bfloat16 where the processor has it."""
    threads: Count | None
    """Of the CPU; null: all cores; only equal settings repeat a seed exactly."""
    devices: CountOrAuto = 1
    """How many processes train one model together, each on a device of its own: GPUs, or parts of the CPU's cores. The
    batch is the same, divided among them. `auto`: as many as this machine has GPUs.
    """
    launcher: LauncherName = "local"
    """Where training and maps over shards run: `local`, `slurm` or `ray`. Changes no byte, and makes no stage run again."""
    workers: Count | None = None
    """Processes or jobs that share the shards; null: one per core, on Slurm 16, on Ray all that it has room for. Changes no byte.
    """

    slurm: Annotated[Mapping[str, Any], OR_NULL] = Field(default_factory=dict)
    """Options of Slurm jobs, as submitit names them: `{slurm_partition: gpu, nodes: 2, gpus_per_node: 4}`."""
    ray: Annotated[Mapping[str, Any], OR_NULL] = Field(default_factory=dict)
    """Options of Ray's tasks, as Ray names them, each job and each rank being one: `{num_cpus: 4, num_gpus: 1}`; and
    `address`, of the cluster.
    """

    def set_up(self) -> "Device":
        """Set up this process; return its device. Raises SettingError if there is no such device."""
        from umemma.models.device import Device  # imports torch, which whoever only reads parameters does without

        return Device.set_up(self.device, self.precision, self.threads)

    def of_results(self) -> dict[str, Any]:
        """Return the settings on which a result depends to the bit."""
        return self.model_dump(include={"device", "precision", "threads", "devices"})

    @property
    def num_devices(self) -> int:
        """Return how many ranks train a model."""
        if self.devices != "auto":
            return self.devices
        import torch

        return 1 if self.device == "cpu" else max(1, torch.cuda.device_count())


class Pretrain(Section):
    """How every tower is trained; how long is each modality's own setting.

    `class_balance`: 0 weights every sample the same, 1 every class; see `umemma.metrics.objective.loss`.
    """

    search: Count = 1
    """How many encoders are tried for each modality, `encoder` first, then its `candidates`; the best on validation data
    is kept. 1: no search.
    """
    batch_size: CountOrAuto
    """Samples per step; `auto`: by the number of training samples, 16 to 512."""
    lr: Positive
    """Largest learning rate; arms from scratch use it, too."""
    weight_decay: Annotated[float, Field(ge=0)]
    """Of AdamW."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    """Share of the target spread over all classes."""
    class_balance: Fraction
    """0 weights every sample the same, 1 every class (with several labels its positives); probabilities stay calibrated.
    """


class Fuse(Section):
    """Fusion. `missing_rate`: one number, or one for each modality by name (one left out is never hidden)."""

    head: str
    """Fusion head: `sum_logits`, `mean_logits`, `concat`, `gated`, `attention`, `pool`,
    `pool_residual` or `product_of_experts`."""
    substitute: Literal["none", "zeros", "train_mean", "noise", "donor", "learned"]
    """What stands in for a missing modality; `none`: the head leaves it out."""
    substitute_at: Literal["feature", "input"]
    """Where it stands in: in place of the feature, or of the input before the encoder."""
    protocol: Annotated[str, AfterValidator(_protocol)]
    """How modalities are hidden in training: each at its own rate (`independent`), always (`absent`), or at most one per
    sample (`balanced`); or at rates that depend on nothing (`mcar`), on a modality that is always there (`mar`), on the
    hidden value itself (`mnar`), or on the class (`by_class`). Or a protocol by name, such as `both 70`, which says its
    rates itself (docs: Protocols).
    """
    slope: float = 2.0
    """Of a mechanism: by how much the log-odds of being hidden change with one standard deviation of what they depend on."""
    presence: Literal["learn", "ignore"] = "learn"
    """Whether a head that is trained step by step may learn what the data's own holes tell of the label; `ignore`: it
    answers as if holes told nothing, for use where they come about in another way.
    """
    missing_rate: Fraction | Mapping[str, Fraction]
    """How often a modality is hidden in training: one number for all, or one for each by name (one left out is never
    hidden). A protocol by name says its rates itself. What only several modalities together know is learned while all of
    them are seen: where there is such, 0.25 or less (docs: Studies).
    """
    epochs: PositiveOrAuto
    """Of fusion training; fractions are allowed. `auto`: until validation cross-entropy no longer improves. A head that
    cannot start from the towers' is trained on their features for at least 400 steps.
    """
    batch_size: CountOrAuto
    """As `pretrain.batch_size`."""
    lr: Positive
    """Largest learning rate of head and substitute."""
    tower_lr: Positive
    """Largest learning rate of pre-trained encoders, where an arm trains them further."""
    distil: Fraction = 0.0
    """Share of the target that the towers' product gives from all that a sample has, in place of the label, where an arm
    starts from towers and hides modalities."""
    weight_decay: Annotated[float, Field(ge=0)]
    """Of AdamW."""
    class_balance: Fraction
    """As `pretrain.class_balance`."""


def missing_rates(fuse: Fuse, modalities: Sequence[str]) -> tuple[float, ...]:
    """Return one missing rate per modality, in the data set's order.

    A single number is each modality's rate; with protocol `balanced` it is the share of samples that lose one of them.
    Those of a protocol that is named are its own. Raises SettingError for a name that does not fit the modalities.
    """
    if fuse.protocol not in get_args(ProtocolName):
        return of_training(fuse.protocol, modalities).rates
    rate = fuse.missing_rate
    if isinstance(rate, Mapping):
        return tuple(float(rate.get(name, 0.0)) for name in modalities)
    return (float(rate) / (len(modalities) if fuse.protocol == "balanced" else 1),) * len(modalities)
