"""One raw sample as an adapter yields it and a shard holds it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Sample:
    """A keyed, labelled set of encoded files, one for each modality that is there.

    `members` maps a member name to the file's bytes; the name's stem is the modality, its suffix the format:
    `{"image.png": b"...", "audio.wav": b"..."}`. A modality that is missing has no member.
    `group` names what must not be in two splits (a recording, a person, a film); `key` is unique over all splits
    and holds no dot, as WebDataset splits names at the first one.
    """

    key: str
    split: str
    label: int
    group: str
    members: Mapping[str, bytes] = field(repr=False)

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities present, in the order of the members."""
        return tuple(name.split(".", 1)[0] for name in self.members)
