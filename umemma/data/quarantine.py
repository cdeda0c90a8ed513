"""The quarantine: samples that are not used, each with its key, its file and the reason.

- Damage - a file that cannot be read - is told from what is left out by rule: a row without a label, a class that the
  configuration leaves out. Both are listed; the gate bounds the share of damage only.
- One row is one sample, so judged = kept + quarantined holds in every split. If several files of a sample are bad,
  `file` names the first and `reason` all of them.
- The file's bytes depend on the rows alone: sorted, columns typed even without rows, and nothing that differs between
  runs or machines (addresses of objects, the folder of the raw data).
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow import parquet

from umemma.data.sample import SPLITS
from umemma.errors import DamagedFile

_NAMED = 20  # number of reasons that `by_reason` lists
_REST = "other reasons"
_DETAILS = r"\s*[:;(]|, "
_ADDRESS = re.compile(r"<[\w.]+ object at 0x[0-9a-f]+>")  # Pillow has one in its error message


@dataclass(frozen=True)
class Quarantined:
    """One excluded sample; `modality` None if the reason does not concern a single file of it.

    `key` is `train/17`, the adapter's sample 17 of train, if the sample has no key or its adapter did not give it.
    `split` is empty if the data do not give it. `reason` starts with the general part; details follow `:`, `;`, `(` or
    a comma. `is_damage` False: left out by rule.
    """

    key: str
    split: str
    modality: str | None
    file: str
    reason: str
    is_damage: bool = True


COLUMNS = tuple(field.name for field in fields(Quarantined))
_SCHEMA = pyarrow.schema([(name, pyarrow.bool_() if name == "is_damage" else pyarrow.string()) for name in COLUMNS])


def write(path: Path, rows: Iterable[Quarantined], root: Path | None = None) -> None:
    """Write the rows, sorted by split, key and reason; make paths below `root` relative to it."""
    roots = [] if root is None else list(dict.fromkeys([str(root), str(root.resolve())]))
    sorted_rows = sorted(
        (
            (key, split, modality, _stable(file, roots), _stable(reason, roots), is_damage)
            for key, split, modality, file, reason, is_damage in map(astuple, rows)
        ),
        key=lambda row: (_position(row[1]), *("" if value is None else value for value in row)),
    )
    columns = [[row[number] for row in sorted_rows] for number in range(len(COLUMNS))]
    parquet.write_table(pyarrow.table(columns, _SCHEMA), path)


def read(path: Path) -> list[Quarantined]:
    """Return the rows. Raises DamagedFile if the file is damaged.

    Does not use `read_table`, which imports pandas in 0.4 s.
    """
    try:
        return [Quarantined(**row) for row in parquet.ParquetFile(path).read(list(COLUMNS)).to_pylist()]
    except (OSError, ValueError) as error:  # pyarrow's own errors are ValueErrors
        raise DamagedFile(f"{path} cannot be read ({error})", path) from error


def counts(splits: Iterable[str]) -> dict[str, int]:
    """Count samples by split: always train, val and test, then any others, sorted."""
    names = list(splits)
    return {split: names.count(split) for split in (*SPLITS, *sorted(set(names) - set(SPLITS)))}


def by_reason(rows: Iterable[Quarantined]) -> dict[str, int]:
    """Count the rows by the general part of their reason, the most frequent first; rare ones are summed up."""
    return {reason: len(part) for reason, part in _parts(rows, _NAMED)}


def reasons(rows: Iterable[Quarantined], named: int) -> list[dict[str, Any]]:
    """Return the groups of `by_reason` in more detail: `reason`, `total`, `by_split` and an `example`.

    Rare ones, beyond the first `named`, are one group with an empty example.
    """
    return [
        {
            "reason": reason,
            "total": len(part),
            "is_damage": any(row.is_damage for row in part),
            "by_split": {split: count for split, count in counts(row.split for row in part).items() if count},
            "example": "" if reason == _REST else some(part, 1),
        }
        for reason, part in _parts(rows, named)
    ]


def _parts(rows: Iterable[Quarantined], named: int) -> list[tuple[str, list[Quarantined]]]:
    """Return the rows of each of the most frequent reasons, then the rows of all others, in their order."""
    parts: dict[str, list[Quarantined]] = {}
    rows = list(rows)
    for row in rows:
        parts.setdefault(_general(row), []).append(row)
    counted = sorted(parts.items(), key=lambda part: (-len(part[1]), part[0]))
    first = dict(counted[:named])
    rest = [row for row in rows if _general(row) not in first]
    return [*first.items(), *([(_REST, rest)] if rest else [])]


def _general(row: Quarantined) -> str:
    return re.split(_DETAILS, row.reason, maxsplit=1)[0]


def some(rows: Sequence[Quarantined], named: int) -> str:
    """Return the first few samples as text: `a-7 (image.png: no readable image), ...`."""
    return ", ".join(f"{row.key} ({': '.join(filter(None, (row.file, row.reason)))})" for row in rows[:named])


def _position(split: str) -> int:
    return SPLITS.index(split) if split in SPLITS else len(SPLITS)


def _stable(text: str, roots: Sequence[str]) -> str:
    for root in roots:
        whole = rf"(?<![\w/.-]){re.escape(root)}"  # not the end of a longer path
        text = re.sub(rf"{whole}/", "", text)
        if root.startswith("/"):  # a relative `data` also occurs as a word
            text = re.sub(rf"{whole}(?![\w/.-])", "the data root", text)
    return _ADDRESS.sub("an object", text)
