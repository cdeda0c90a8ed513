"""Builds a sample from the files that a row of a list names, with their origins for the quarantine report."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from umemma.data.sample import BadSample, Sample
from umemma.sources.layouts.lists import Row


@dataclass(frozen=True)
class File:
    """The content of one modality; `place` is the path it was read from, or the file and line of the list."""

    suffix: str
    content: bytes = field(repr=False)
    place: Path | str


Read = Callable[[Row], tuple[int | tuple[int, ...], Mapping[str, File]]]  # label, and a file per modality


def sample(row: Row, read: Read) -> Sample:
    """Return the sample that `read` makes of a row. Adds the row's key to a BadSample that `read` raises."""
    try:
        label, files = read(row)
    except BadSample as error:
        error.key = error.key or row.key  # so that the sample can be identified without counting rows
        raise
    named = {f"{modality}.{file.suffix}": file for modality, file in files.items()}
    return Sample(
        row.key,
        row.split,
        label,
        row.group,
        {name: file.content for name, file in named.items()},
        {name: str(file.place) for name, file in named.items()},
    )
