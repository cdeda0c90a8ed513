"""Inspects a sample of a table's media: sizes, durations, formats, encodings of texts, unreadable files.

The sample is random, but always the same: in a table in which classes take turns, evenly spaced rows could all be of one.
"""

import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from umemma.data.sample import BadSample
from umemma.errors import DataError
from umemma.media.facts import facts
from umemma.media.kinds import text
from umemma.sources.tables.members import Members

MOST_FILES = {"video": 12, "text": 500, "series": 200, "vector": 50}  # each of a video's frames is decoded
_MOST = 100
_LONGEST = 120  # characters of a reason
_SHOWN = {
    "image": {"height_px": "px high", "width_px": "px wide"},
    "audio": {"sample_rate_hz": "Hz", "seconds": "s"},
    "video": {"height_px": "px high", "width_px": "px wide", "seconds": "s"},
    "text": {"num_words": "words"},
    "series": {"num_steps": "steps", "channels": "channels"},
    "vector": {"num_values": "numbers"},
    "events": {"num_events": "events"},
}


@dataclass(frozen=True)
class Survey:
    """One modality: `facts` {fact: a value for each file that was read}, `troubles` {reason: count}, `num_seen`.

    `rows` and `formats` are those of the files that were read.
    """

    facts: Mapping[str, Sequence[float]]
    rows: Sequence[int]
    formats: Sequence[str]
    troubles: Mapping[str, int]
    num_seen: int
    example: str | None


def survey(members: Members, modality: str, kind: str, rows: Sequence[int]) -> Survey:
    """Read the modality in some rows that have it."""
    chosen = _chosen(members, modality, kind, rows)
    read: list[int] = []
    formats: list[str] = []
    values_of: dict[str, list[float]] = {}
    troubles: Counter[str] = Counter()
    example: str | None = None
    for row in chosen:
        try:
            name, content = members.member(modality, row)
            values = facts(name, content)
        except BadSample as error:
            troubles[_plain(error.reason)] += 1
            example = example or error.file
            continue
        except DataError as error:
            troubles[_plain(str(error).split(": ", 1)[-1])] += 1
            example = example or members.file(modality, row) or members.place(row)
            continue
        read.append(row)
        formats.append(str(values["format"]))
        if kind == "text":
            values["num_words"] = len(content.split())
        for fact, value in values.items():
            if isinstance(value, int | float):
                values_of.setdefault(fact, []).append(float(value))
    return Survey(values_of, read, formats, troubles, len(chosen), example)


def _plain(reason: str) -> str:
    """Return a reason without its numbers, which differ from file to file, and not too long."""
    plain = re.sub(r"(?<![\w-])\d[\d,.]*", "...", reason)
    return plain if len(plain) <= _LONGEST else plain[:_LONGEST] + " ..."


def encoding(members: Members, modality: str, rows: Sequence[int]) -> str | None:
    """Return the likely encoding of a text's files; None if those that can be opened are UTF-8, or none fits."""
    contents = []
    for row in _chosen(members, modality, "text", rows):
        try:
            file = members.content(modality, row)
        except BadSample:  # `survey` counts it
            continue
        contents += [file[2]] if file else []
    return text.likely_encoding(contents)


def _chosen(members: Members, modality: str, kind: str, rows: Sequence[int]) -> list[int]:
    rows_with = [row for row in rows if members.has(modality, row)]
    most = MOST_FILES.get(kind, _MOST)
    return sorted(random.Random(0).sample(rows_with, most)) if len(rows_with) > most else rows_with


def sentence(kind: str, result: Survey) -> str:
    """Return the sizes as text: `128 to 192 px high, 128 px wide`."""
    units = _SHOWN[kind]
    return ", ".join(f"{_range(result.facts[fact])} {unit}" for fact, unit in units.items() if fact in result.facts)


def _range(values: Sequence[float]) -> str:
    low, high = f"{min(values):.4g}", f"{max(values):.4g}"
    return low if low == high else f"{low} to {high}"
