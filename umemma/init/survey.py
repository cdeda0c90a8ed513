"""Inspects a sample of a table's media: sizes, durations, formats, encodings of texts, unreadable files.

The sample is random, but always the same: in a table in which classes take turns, evenly spaced rows could all be of one.
Sounds and videos beyond it are not decoded, but whether they were cut short is seen in their headers: an interrupted
download or recording is what makes files unreadable most.
"""

import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from umemma.data.sample import BadSample
from umemma.errors import DataError
from umemma.media.facts import facts
from umemma.media.kinds import container, text
from umemma.sources.tables.members import Members

MOST_FILES = {"video": 12, "text": 500, "series": 200, "vector": 50}  # each of a video's frames is decoded
_MOST = 100
_CALLED = {"audio": "sound", "video": "video"}  # kinds whose files are looked at beyond the sample
_MOST_BYTES = 1 << 29  # of the files whose headers are read
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

    `rows` and `formats` are those of the files that were read; `example` is one that cannot be used, `why` its reason.
    """

    facts: Mapping[str, Sequence[float]]
    rows: Sequence[int]
    formats: Sequence[str]
    troubles: Mapping[str, int]
    num_seen: int
    example: str | None
    why: str = ""

    @property
    def is_hopeless(self) -> bool:
        """Whether files were opened, and none of them can be used."""
        return self.num_seen > 0 and not self.rows


def survey(members: Members, modality: str, kind: str, rows: Sequence[int]) -> Survey:
    """Read the modality in some rows that have it."""
    chosen = _chosen(members, modality, kind, rows)
    read: list[int] = []
    formats: list[str] = []
    values_of: dict[str, list[float]] = {}
    bad: list[BadSample] = []
    for row in chosen:
        try:
            name, content = members.member(modality, row)
            values = facts(name, content)
        except BadSample as error:
            bad.append(error)
            continue
        except DataError as error:
            file = members.file(modality, row) or members.place(row)
            bad.append(BadSample(file, str(error).split(": ", 1)[-1]))
            continue
        read.append(row)
        formats.append(str(values["format"]))
        if kind == "text":
            values["num_words"] = len(content.split())
        for fact, value in values.items():
            if isinstance(value, int | float):
                values_of.setdefault(fact, []).append(float(value))
    num_others = 0
    if kind in _CALLED:
        num_others, cut = _cut_short(members, modality, kind, sorted(set(rows) - set(chosen)))
        bad += cut
    troubles = Counter(_plain(error.reason) for error in bad)
    example, why = (bad[0].file, bad[0].reason) if bad else (None, "")
    return Survey(values_of, read, formats, troubles, len(chosen) + num_others, example, why)


def _cut_short(members: Members, modality: str, kind: str, rows: Sequence[int]) -> tuple[int, list[BadSample]]:
    """Return how many more files were looked at, and those cut short."""
    num_seen, num_bytes, cut = 0, 0, list[BadSample]()
    for row in random.Random(0).sample(rows, len(rows)):
        if num_bytes > _MOST_BYTES:
            break
        if not members.has(modality, row):
            continue
        try:
            file = members.content(modality, row)
        except BadSample as error:
            num_seen += 1
            cut.append(error)
            continue
        if file is not None:
            num_seen, num_bytes = num_seen + 1, num_bytes + len(file[2])
            if reason := container.cut_short(file[2]):
                cut.append(BadSample(file[0], f"no readable {_CALLED[kind]}: it is truncated, {reason}"))
    return num_seen, cut


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
    return ", ".join(_counted(_range(result.facts[fact]), unit) for fact, unit in units.items() if fact in result.facts)


def _counted(size: str, unit: str) -> str:
    is_one_thing = size == "1" and unit != "s"  # seconds are not counted
    return f"{size} {unit.removesuffix('s') if is_one_thing else unit}"


def _range(values: Sequence[float]) -> str:
    low, high = f"{min(values):.4g}", f"{max(values):.4g}"
    return low if low == high else f"{low} to {high}"
