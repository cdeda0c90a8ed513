"""Guesses for `umemma init`: which columns of a table are modalities, and which numeric columns form a vector.

- A column of paths, of sentences, or of lists of numbers is a modality of its own.
- Numeric columns with a common name prefix form one vector (acc_x, acc_y, acc_z; emb0, emb1). The others are grouped
  into a vector by the rows in which they are empty, as in a questionnaire that was or was not filled in. With more
  than a few such patterns, values are missing individually: then all form one vector, with `fill`.
- A constant column, or a row counter, carries no information.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from umemma.errors import some
from umemma.init.columns import Column

_MOST_PATTERNS = 4
_PREFIX = re.compile(r"^(.*?)(?:[_\-. ][^_\-. ]+|\d+)$")
_ENDINGS = re.compile(r"_?(file_?name|file_?path|path|file)$")


@dataclass
class Guesses:
    """`entries` as in `dataset.options.modalities`; `unused` {column: reason}; `unsure`: sentences for the user."""

    entries: dict[str, dict[str, object]]
    unused: dict[str, str]
    unsure: list[str]


def modalities(columns: Mapping[str, Column], axes: Callable[[Column], int | None]) -> Guesses:
    """Return the modalities in columns other than key and label; `axes` counts the axes of a column's .npy files."""
    guesses, numbers = Guesses({}, {}, []), []
    for column in columns.values():
        if not column.filled:
            guesses.unused[column.name] = "empty"
        elif column.path_kind:
            guesses.entries[_new_name(column.name, guesses)] = _of_paths(column, axes, guesses)
        elif column.are_number_lists:
            guesses.entries[_new_name(column.name, guesses)] = {"column": column.name, "kind": "vector"}
        elif column.is_long_text:
            guesses.entries[_new_name(column.name, guesses)] = {"column": column.name, "kind": "text"}
        elif not column.are_numbers:
            guesses.unused[column.name] = "neither numbers nor sentences nor the names of media files"
        elif len(column.counts) == 1:
            guesses.unused[column.name] = "the same in every row"
        elif column.are_whole and column.is_complete and column.is_unique:
            guesses.unused[column.name] = "looks like a row number"
        else:
            numbers.append(column)
    for name, members in _vectors(numbers, guesses).items():
        entry: dict[str, object] = {"columns": [column.name for column in members], "kind": "vector"}
        if partial := sum(
            any(row) and not all(row) for row in zip(*(column.present for column in members), strict=True)
        ):
            entry["fill"] = 0.0
            guesses.unsure.append(
                f"{name}: {partial} rows have some of its columns and not others; the empty ones are "
                "taken as 0.0 (fill). Without fill these rows would be left out"
            )
        guesses.entries[_new_name(name, guesses)] = entry
    return guesses


def _of_paths(column: Column, axes: Callable[[Column], int | None], guesses: Guesses) -> dict[str, object]:
    kind = str(column.path_kind)
    if kind == "vector":  # .npy is a vector's and a series' suffix
        num_axes = axes(column)
        kind = "vector" if num_axes == 1 else "series"
        if num_axes is None:
            guesses.unsure.append(
                f"{column.name}: none of its .npy files could be opened; taken as series, of two axes"
            )
    return {"column": column.name, "kind": kind} | ({"inline": False} if kind == "text" else {})


def _vectors(numbers: Sequence[Column], guesses: Guesses) -> dict[str, list[Column]]:
    """Group the numeric columns into vectors: by name prefix, the others by the rows in which they are empty."""
    by_prefix: dict[str, list[Column]] = {}
    for column in numbers:
        prefix = _PREFIX.match(column.name)
        by_prefix.setdefault(prefix[1] if prefix and prefix[1] else column.name, []).append(column)
    vectors = {prefix: members for prefix, members in by_prefix.items() if len(members) > 1}
    others = [members[0] for members in by_prefix.values() if len(members) == 1]
    patterns: dict[tuple[bool, ...], list[Column]] = {}
    for column in others:
        patterns.setdefault(column.present, []).append(column)
    groups = list(patterns.values()) if len(patterns) <= _MOST_PATTERNS else [others]
    for members in groups:
        name = members[0].name if len(members) == 1 else "numbers"
        while name in vectors:
            name += "_2"
        vectors[name] = members
    if len(numbers) > 1:
        guesses.unsure.append(
            "numbers that stand together are one modality: "
            + "; ".join(f"{name} ({some(column.name for column in members)})" for name, members in vectors.items())
        )
    return vectors


def _new_name(name: str, guesses: Guesses) -> str:
    """Derive a modality's name from a column's: lower-case letters, digits and _, numbered if already taken."""
    plain = re.sub(r"\W+", "_", name.casefold().strip()).strip("_")
    plain = _ENDINGS.sub("", plain) or plain or "modality"
    plain = plain if plain.isidentifier() else f"m_{plain}"
    taken, number = plain, 2
    while taken in guesses.entries:
        taken, number = f"{plain}_{number}", number + 1
    return taken
