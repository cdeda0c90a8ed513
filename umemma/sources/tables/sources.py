"""Parses an entry of `dataset.options.modalities`: the columns of the table that a modality is in, and their kind.

| kind | the cells | the member |
|---|---|---|
| image, audio, video | a path, or the file's bytes; an image also its pixels as numbers, with `shape` | the file's bytes |
| text | the text itself, or with `inline: false` the path of a file in `encoding` (utf-8) | UTF-8 |
| series | the path of an array or of lines of numbers (`tables/recordings.py`), or a list of lists | .npy of two axes (step, channel) |
| vector | with `columns`, single values; with `column`, a list of numbers or the path of an array | .npy of one axis |
| events | what names the sample in a table of events beside it, `events` (`tables/events.py`), or a list of [time, number of the variable, value], or the path of such an array | .events (event, 3) |

`path` builds the path from cells (`tables/templates.py`); of several the first is taken whose file is there. `match:
loose` finds files whose paths were written elsewhere (`tables/matching.py`).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from umemma.errors import ParameterError, SettingError, unknown
from umemma.media import formats
from umemma.media.kinds.text import check_encoding
from umemma.names import about_modality
from umemma.settings import section
from umemma.sources.tables import series
from umemma.sources.tables.events import Events, events
from umemma.sources.tables.recordings import Recording
from umemma.sources.tables.series import AXES, LAYOUTS, Reading
from umemma.sources.tables.templates import OWN, Template

SUFFIXES: Mapping[str, tuple[str, ...]] = {
    "series": series.SUFFIXES["series"],
    **{kind: formats.SUFFIXES[kind] for kind in ("image", "audio", "video", "text")},
    "vector": series.SUFFIXES["vector"],
    "events": (),
}
MATCHES = ("exact", "loose")
_SETTINGS = (
    *("kind", "column", "columns", "inline", "fill", "path", "match", "shape", "encoding"),
    *("layout", "array", "recording", "events"),
)


@dataclass(frozen=True)
class Source:
    """The columns of one modality; `reading` of a vector or series.

    `shape` is that of an image whose pixels are numbers: height, width and perhaps channels. `encoding` is that of the
    files of a text.
    """

    modality: str
    kind: str
    columns: tuple[str, ...]
    are_numbers: bool
    inline: bool
    reading: Reading | None
    events: Events | None
    paths: tuple[Template, ...]
    is_loose: bool
    shape: tuple[int, ...] | None
    encoding: str

    @property
    def where(self) -> str:
        """The setting that this source was parsed from, for errors."""
        return f"dataset.options.modalities.{self.modality}"


def source(modality: str, entry: object) -> Source:
    """Validate one entry. Raises ParameterError naming key, value and choices."""
    where = f"dataset.options.modalities.{modality}"
    if not isinstance(modality, str) or (wrong := about_modality(modality)):
        raise ParameterError(f"{where}: {modality!r} {wrong if isinstance(modality, str) else 'must be a name'}")
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
    match = entry.get("match", "exact")
    if match not in MATCHES:
        raise ParameterError(unknown(f"{where}.match", "choice", match, MATCHES))
    are_numbers = kind == "vector" and "columns" in entry
    if (inline or are_numbers) and ("path" in entry or "match" in entry):
        raise ParameterError(f"{where}: path and match are for cells that name files")
    return Source(
        modality=modality,
        kind=str(kind),
        columns=_columns(where, str(kind), entry),
        are_numbers=are_numbers,
        inline=inline,
        reading=_reading(where, str(kind), entry),
        events=_events(where, str(kind), entry.get("events")),
        paths=_paths(where, entry.get("path", OWN)),
        is_loose=match == "loose",
        shape=_shape(where, str(kind), entry.get("shape")),
        encoding=_encoding(where, entry, is_in_files=kind == "text" and not inline),
    )


def _events(where: str, kind: str, entry: object) -> Events | None:
    if kind != "events":
        if entry is not None:
            raise ParameterError(f"{where}.events is for the kind events, not for {kind}")
        return None
    return None if entry is None else events(entry, where)


def _paths(where: str, given: object) -> tuple[Template, ...]:
    several = list(given) if isinstance(given, Sequence) and not isinstance(given, str) else [given]
    if not several:
        raise ParameterError(f"{where}.path is empty; {{}} stands for the cell, as in images/{{}}.jpg")
    return tuple(Template(one, f"{where}.path") for one in several)


def _encoding(where: str, entry: Mapping[str, object], *, is_in_files: bool) -> str:
    given = entry.get("encoding", "utf-8")
    if "encoding" in entry and not is_in_files:
        raise ParameterError(f"{where}.encoding is for texts in files (kind: text, inline: false)")
    check_encoding(given, f"{where}.encoding")
    return str(given)


def _shape(where: str, kind: str, given: object) -> tuple[int, ...] | None:
    if given is None:
        return None
    sides = list(given) if isinstance(given, Sequence) and not isinstance(given, str) else []
    if kind != "image" or len(sides) not in (2, 3) or not all(type(side) is int and side > 0 for side in sides):
        raise ParameterError(f"{where}.shape must be [height, width] or [height, width, 3], of an image, not {given!r}")
    return tuple(sides)


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


def _reading(where: str, kind: str, entry: Mapping[str, object]) -> Reading | None:
    if kind not in AXES:
        for key in ("fill", "layout", "array", "recording"):
            if entry.get(key) is not None:
                raise ParameterError(f"{where}.{key} is for series and vectors, not for {kind}")
        return None
    layout, array, recording = entry.get("layout", LAYOUTS[0]), entry.get("array"), entry.get("recording", {})
    if layout not in LAYOUTS or (kind == "vector" and layout != LAYOUTS[0]):
        raise ParameterError(unknown(f"{where}.layout", f"layout of a {kind}", layout, LAYOUTS[: AXES[kind]]))
    if array is not None and not isinstance(array, str):
        raise ParameterError(f"{where}.array must be the name of an array in a .npz or .mat file, not {array!r}")
    if not isinstance(recording, Mapping) or (kind == "vector" and recording):
        raise ParameterError(f"{where}.recording must be {{setting: value}}, and of a series, not {recording!r}")
    try:
        how = section(Recording, **recording)
    except SettingError as error:
        raise ParameterError(f"{where}.recording: {error}") from error
    return Reading(kind, _fill(where, entry.get("fill")), str(layout), array, how)


def _fill(where: str, value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ParameterError(f"{where}.fill must be a number, not {value!r}")
    return float(value)
