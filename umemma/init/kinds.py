"""The kind of a modality where its cells or files could be several: what the user says (`--kind`), else what they hold.

A container is what its streams make it: a .webm, .mp4 or .mkv without a picture is a sound. Of a column that holds both,
most decide, and the gate names the others. A GIF is a picture and may be a video; numbers in a cell may be a picture's pixels.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from umemma.errors import ParameterError, some, unknown
from umemma.init.columns import Column
from umemma.init.opened import some_files
from umemma.media import formats
from umemma.sources.adapters.table import Adapter

KINDS = ("image", "audio", "video", "text", "series", "vector")
_OF_FILES: Mapping[str, Sequence[str]] = {"image": ("video",), "audio": ("video",), "video": ("audio", "image")}
_OF_LISTS: Mapping[str, Sequence[str]] = {"vector": ("series", "image"), "series": ("vector", "image")}

Entry = dict[str, Any]


def check(kinds: Mapping[str, str], columns: Collection[str]) -> None:
    """Raise ParameterError if a column or a kind does not exist; `kinds` is what the user says, by column."""
    for name, kind in kinds.items():
        if name not in columns:
            raise ParameterError(unknown("--kind", "column", name, columns))
        if kind not in KINDS:
            raise ParameterError(unknown(f"--kind {name}", "kind", kind, KINDS))


def as_said(column: Column, kind: str, entries: Mapping[str, Entry], why_unused: str) -> None:
    """Change a column's entry to the kind that the user says. Raises ParameterError if it cannot be of that kind."""
    own = [entry for entry in entries.values() if entry.get("column") == column.name]
    if any(entry["kind"] == kind for entry in own):
        return
    others = _OF_LISTS if column.are_number_lists else _OF_FILES
    able = [entry for entry in own if kind in others.get(str(entry["kind"]), ())]
    if not able:
        choices = sorted({choice for entry in own for choice in (entry["kind"], *others.get(str(entry["kind"]), ()))})
        why = why_unused or (
            f"it can be {some(choices)}" if own else "of single numbers and words there are vector and text"
        )
        raise ParameterError(f"--kind {column.name}={kind}: {why}")
    able[0]["kind"] = kind
    if column.are_number_lists and kind == "image":
        able[0].update(_shape(column))


def _shape(column: Column) -> Entry:
    """Return the shape of the picture whose pixels a column's lists are."""
    shapes = list(column.list_shapes)
    side = round(shapes[0][0] ** 0.5)
    if len(shapes[0]) > 1:
        return {}
    if len(shapes) > 1 or side * side != shapes[0][0]:
        raise ParameterError(
            f"--kind {column.name}=image: {some(f'{count}' for (count,) in shapes)} numbers are no square picture; without --kind, "
            "init writes a file in which `kind: image, shape: [height, width]` can say what they are"
        )
    return {"shape": [side, side]}


def by_streams(entries: Mapping[str, Entry], adapter: Adapter, said: Collection[str]) -> list[str]:
    """Make sounds of containers without a picture, and videos of those with one; return sentences for the user.

    Columns of which the kind is `said` are left as they are.
    """
    sentences = []
    for name, entry in entries.items():
        if entry["kind"] not in ("audio", "video") or entry.get("column") in said:
            continue
        found = Counter(kind for _, _, content in some_files(name, adapter) if (kind := formats.kind_of(content)))
        usual, count = found.most_common(1)[0] if found else (entry["kind"], 0)
        if usual in ("audio", "video") and usual != entry["kind"]:
            what = "sound and no picture: a sound" if usual == "audio" else "moving pictures: a video"
            column, other = entry["column"], entry["kind"]
            entry["kind"] = usual
            sentences.append(
                f"{name}: {count} of {found.total()} files looked at hold {what}; --kind {column}={other} takes it otherwise"
            )
    return sentences
