"""A sample made of the files that a row of a list names, each of which the quarantine can call by its place."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from umemma.data.sample import BadSample, Sample
from umemma.sources.layouts.lists import Row


@dataclass(frozen=True)
class File:
    """The content of one modality; `place` is the path it was read from, or file and line of a list that holds it."""

    suffix: str
    content: bytes = field(repr=False)
    place: Path | str


Read = Callable[[Row], tuple[int | tuple[int, ...], Mapping[str, File]]]  # the label, and a file for each modality


def sample(row: Row, read: Read) -> Sample:
    """Return what `read` makes of a row. Raises BadSample, with the row's key, where `read` does."""
    try:
        label, files = read(row)
    except BadSample as error:
        error.key = error.key or row.key  # so that nobody has to count rows to find the sample
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
