"""A small piece of a sample that the page can show: made elsewhere from its files, a picture or sound as a data URI."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Preview:
    """`content`: a data URI of a picture or sound, or text."""

    modality: str
    kind: Literal["picture", "sound", "text"]
    content: str
