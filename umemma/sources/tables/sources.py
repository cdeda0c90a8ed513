"""Parses an entry of `dataset.options.modalities`: the columns of the table that a modality is in, and their kind.

| kind | the cells | the member |
|---|---|---|
| image, audio, video | a path | the file's bytes |
| text | the text itself, or with `inline: false` the path of a .txt file | UTF-8, or the file's bytes |
| series | the path of a .npy or .csv file | .npy of two axes (step, channel) |
| vector | with `columns`, numbers; with `column`, a list of numbers or the path of a .npy file | .npy of one axis |
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from umemma.errors import ParameterError, unknown
from umemma.sources.tables.series import AXES

SUFFIXES = {
    "image": ("png", "jpg", "jpeg", "webp"),
    "audio": ("wav", "flac", "ogg", "mp3", "m4a"),
    "video": ("mp4", "m4v", "mov", "mpg", "mpeg", "avi", "mkv", "webm", "flv"),
    "text": ("txt",),
    "series": ("npy", "csv"),
    "vector": ("npy",),
}
_SETTINGS = ("kind", "column", "columns", "inline", "fill")


@dataclass(frozen=True)
class Source:
    """The columns of one modality; `fill` replaces the missing numbers of a partial vector or series."""

    modality: str
    kind: str
    columns: tuple[str, ...]
    are_numbers: bool
    inline: bool
    fill: float | None

    @property
    def where(self) -> str:
        """The setting that this source was parsed from, for errors."""
        return f"dataset.options.modalities.{self.modality}"


def source(modality: str, entry: object) -> Source:
    """Validate one entry. Raises ParameterError naming key, value and choices."""
    where = f"dataset.options.modalities.{modality}"
    if not isinstance(modality, str) or not modality.isidentifier() or modality.startswith("_"):
        raise ParameterError(f"{where}: {modality!r} must be a plain name: letters, digits and _, not at its start")
    if not isinstance(entry, Mapping):
        raise ParameterError(f"{where} must be {{column: ..., kind: ...}}, not {entry!r}")
    for key in entry:
        if key not in _SETTINGS:
            raise ParameterError(unknown(where, "setting", key, _SETTINGS))
    kind = entry.get("kind")
    if kind not in SUFFIXES:
        raise ParameterError(unknown(f"{where}.kind", "kind", kind, SUFFIXES))
    inline = entry.get("inline", kind == "text")
    if not isinstance(inline, bool) or (inline and kind != "text"):
        raise ParameterError(f"{where}.inline is {inline!r}; only text can be in the table itself")
    fill = _fill(where, kind, entry.get("fill"))
    return Source(modality, kind, _columns(where, kind, entry), kind == "vector" and "columns" in entry, inline, fill)


def _columns(where: str, kind: str, entry: Mapping[str, object]) -> tuple[str, ...]:
    if ("column" in entry) == ("columns" in entry):
        raise ParameterError(f"{where} must name either its column or its columns")
    named = entry["columns"] if "columns" in entry else [entry["column"]]
    if not isinstance(named, Sequence) or isinstance(named, str) or not all(isinstance(name, str) for name in named):
        raise ParameterError(f"{where}: {named!r} must be names of columns")
    if not named or len(set(named)) != len(named) or (kind != "vector" and len(named) > 1):
        raise ParameterError(
            f"{where}: {list(named)!r} cannot be the columns of one {kind}; only a vector has more, each of them once"
        )
    return tuple(named)


def _fill(where: str, kind: str, value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or kind not in AXES:
        raise ParameterError(f"{where}.fill must be a number, and of a series or a vector, not {value!r}")
    return float(value)
