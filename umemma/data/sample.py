"""One raw sample, as adapters yield it and shards store it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from umemma.errors import DataError

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Sample:
    """A keyed, labelled set of encoded files, one for each modality present.

    `members` maps a member name to the file's bytes; the name's stem is the modality, its suffix the format:
    `{"image.png": b"...", "audio.wav": b"..."}`. A missing modality has no member.
    `group` names what must not be in two splits (a recording, a person, a film); `key` is unique over all splits
    and has no dot, as WebDataset splits names at the first one. `label` is a class, or for multi-label data the
    classes that apply, ascending and possibly none. `files` maps members to the file on disk they come from, if there
    is one, so that the quarantine can name it. `dropped` counts values that the adapter dropped, by reason.
    """

    key: str
    split: str
    label: int | tuple[int, ...]
    group: str
    members: Mapping[str, bytes] = field(repr=False)
    files: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    dropped: Mapping[str, int] = field(default_factory=dict, repr=False)

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities present, in the order of the members."""
        return tuple(name.split(".", 1)[0] for name in self.members)


@dataclass(frozen=True)
class Rejected:
    """A sample that an adapter excluded while it read its lists; `file` as the user knows it, `reason` as text.

    `is_damage` False: it is left out by rule, as a row without a label is; the gate does not count it against the data.
    """

    key: str
    split: str
    file: str
    reason: str
    is_damage: bool = True


class BadSample(DataError):
    """Raised by an adapter for an unusable sample: it is quarantined, and the others are processed as usual.

    Without a `key` the quarantine names the sample by its position, such as `train/17`. `is_damage` as in `Rejected`.
    """

    def __init__(self, file: str, reason: str, key: str = "", *, is_damage: bool = True) -> None:
        super().__init__(f"{file}: {reason}")
        self.file, self.reason, self.key, self.is_damage = file, reason, key, is_damage
