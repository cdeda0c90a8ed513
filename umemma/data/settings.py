"""Settings of a data set: its modalities, classes, shards."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field

from umemma.names import Address, ClassName, ModalityName, PlainName
from umemma.settings import Count, PositiveOrAuto, Section, Settings


class Modality(Section):
    """One modality: how its files become tensors, which encoder reads them, and for how many epochs it is trained.

    `decode` and `encoder` name a module of `umemma/media/decoders` and `umemma/models/encoders`; other keys are its
    settings. Some encoders have variants: `torchvision:resnet18`. `augment` changes decoded values in training, by the
    names in `umemma/training/augment.py`; without it nothing is changed. `candidates` are encoders to be tried as well.
    """

    decode: Settings
    """Decoder, by `name`, and its settings: how files become tensors."""
    encoder: Settings
    """Encoder, by `name`, and its settings: how tensors become features."""
    epochs: PositiveOrAuto
    """For how many epochs the tower is trained; fractions are allowed. `auto`: until validation cross-entropy no longer
    improves.
    """
    augment: Settings = Field(default_factory=dict)
    """Random changes of decoded values in training, by name; may be left out."""
    candidates: Sequence[Settings] = ()
    """Encoders that `pretrain.search` tries besides `encoder`; may be left out."""


class Watch(Section):
    """Raw data that may change at any time: a stage `watch@NAME` for every name, and the file that it writes.

    Without a name there is no such stage, and `record` is any file that never changes.
    """

    each_run: Sequence[PlainName]
    """Names of data sets whose raw data are looked at before every run; [] for data that never change."""
    record: str
    """File that the stage `watch` writes; for data that never change, any file that does not."""


class Dataset(Section):
    """Which data, and what is in it. `root` null: `$UMEMMA_DATA`, else `data/raw/<name>`, filled by download.

    `task`: has a sample one of the classes, or any number of them? `early` is the encoder of the early-fusion arm,
    which reads all modalities at once.

    `frozen` and `inputs` follow from the encoders, and stand here for dvc.yaml: the modalities whose backbone stays as
    it is, and what each tower is trained on, decoded arrays or the features of such a backbone.
    """

    name: PlainName
    """Name of the data set; names the folders of what is made from it."""
    adapter: str
    """Module of `umemma/sources/adapters` that reads the raw data."""
    root: str | None
    """Folder of the raw files; null: `$UMEMMA_DATA`, otherwise `data/raw/<name>`, filled by download."""
    sources: Mapping[str, Sequence[Address]]
    """Addresses to download from, tried in order, by the first part of a raw file's path."""
    watch: Watch
    options: Settings
    """Settings of the adapter; a setting that it does not take is an error."""
    task: Literal["single_label", "multi_label"]
    """`single_label`: every sample has one class; `multi_label`: any number of classes."""
    classes: Annotated[Sequence[ClassName], Field(min_length=2)]
    """Names of the classes, in the order of their numbers."""
    modalities: Annotated[Mapping[ModalityName, Modality], Field(min_length=1)]
    early: Settings
    """Encoder of the arm `early`, which reads all modalities at once; `size_px` resizes maps (32)."""
    frozen: Sequence[str]
    """The modalities whose pre-trained network stays as it is, so that its features are computed once; follows from the
    encoders.
    """
    inputs: Mapping[str, Literal["arrays", "features"]]
    """What each modality's tower is trained on, decoded arrays or the features of a frozen network; follows from the
    encoders.
    """


class Prepare(Section):
    """How shards are cut."""

    samples_per_shard: Count
    """Samples in one WebDataset shard, at most."""
    protocol: str = "complete"
    """Protocol by name under which training and validation samples lose modalities for good, drawn once, so that towers do
    not see them either (docs: Protocols).
    """
