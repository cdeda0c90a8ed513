"""What is said of a data set: its modalities, classes, shards."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field

from umemma.settings import Count, Positive, Section, Settings


class Modality(Section):
    """One modality: how its files become tensors, which encoder reads them, for how many epochs it is trained.

    `decode` and `encoder` name a module of `umemma/media/decoders` and `umemma/models/encoders`; other keys are its settings. Some
    encoders stand for many: `torchvision:resnet18`. `augment` changes decoded values in training, by the names in
    `umemma/training/augment.py`. It is the one key that may be left out: nothing is then changed, which is no choice that a
    reader would have to be told of.
    """

    decode: Settings
    encoder: Settings
    epochs: Positive
    augment: Settings = Field(default_factory=dict)


class Watch(Section):
    """Raw data that may change at any time: a stage `watch@NAME` for every name, and the file that it writes.

    Without a name there is no such stage, and `record` is any file that never changes.
    """

    each_run: Sequence[str]
    record: str


class Dataset(Section):
    """Which data, and what is in it. `root` null: `$UMEMMA_DATA`, else `data/raw/<name>`, filled by download.

    `task`: has a sample one of the classes, or any number of them? `early` is the encoder of the early-fusion arm,
    which reads all modalities at once.
    """

    name: str
    adapter: str
    root: str | None
    sources: Mapping[str, Sequence[str]]
    watch: Watch
    options: Settings
    task: Literal["single_label", "multi_label"]
    classes: Annotated[Sequence[str], Field(min_length=2)]
    modalities: Annotated[Mapping[str, Modality], Field(min_length=1)]
    early: Settings


class Prepare(Section):
    """How shards are cut."""

    samples_per_shard: Count
