"""The quarantine: samples that cannot be used, each with its key, its file and the reason.

- One row is one sample, so judged = kept + quarantined holds in every split. Where several files of a sample are bad,
  `file` names the first and `reason` all of them.
- The bytes depend on the rows alone: sorted, columns typed even where there is no row, and nothing in them that
  differs from run to run or from machine to machine (addresses of objects, the folder that the raw data lie in).
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow
from pyarrow import parquet

from umemma.data.sample import SPLITS
from umemma.errors import DataError

_NAMED = 20  # reasons that `by_reason` names
_REST = "other reasons"
_DETAILS = r"\s*[:;(]|, "
_ADDRESS = re.compile(r"<[\w.]+ object at 0x[0-9a-f]+>")  # Pillow puts one into its sentence


@dataclass(frozen=True)
class Quarantined:
    """One sample that is left out; `modality` None where the reason is not in one file of it.

    `key` is `train/17`, the adapter's sample 17 of train, where the sample has no key or its adapter did not say it.
    `split` is empty where the data do not say it. `reason` starts with the general; details follow `:`, `;`, `(` or
    a comma.
    """

    key: str
    split: str
    modality: str | None
    file: str
    reason: str


COLUMNS = tuple(field.name for field in fields(Quarantined))


def write(path: Path, rows: Iterable[Quarantined], root: Path | None = None) -> None:
    """Write the rows, sorted by split, key and reason; paths below `root` become relative to it."""
    roots = [] if root is None else list(dict.fromkeys([str(root), str(root.resolve())]))
    found = sorted(
        (
            (key, split, modality, _stable(file, roots), _stable(reason, roots))
            for key, split, modality, file, reason in map(astuple, rows)
        ),
        key=lambda row: (_place(row[1]), *("" if value is None else value for value in row)),
    )
    columns = [[row[number] for row in found] for number in range(len(COLUMNS))]
    parquet.write_table(pyarrow.table(columns, pyarrow.schema([(name, pyarrow.string()) for name in COLUMNS])), path)


def read(path: Path) -> pd.DataFrame:
    """Return the rows as a table of COLUMNS, all of them text or null. Raises DataError where the file is damaged."""
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:  # pyarrow's own errors are ValueErrors
        raise DataError(f"{path} cannot be read ({error}); `dvc repro` makes it again") from error


def counts(splits: Iterable[str]) -> dict[str, int]:
    """Count samples by split: train, val and test in any case, then whatever else is there, sorted."""
    found = list(splits)
    return {split: found.count(split) for split in (*SPLITS, *sorted(set(found) - set(SPLITS)))}


def by_reason(rows: pd.DataFrame) -> dict[str, int]:
    """Count the rows by the general part of their reason, the most frequent first; rare ones are added up."""
    return {reason: len(part) for reason, part in _parts(rows, _NAMED)}


def reasons(rows: pd.DataFrame, named: int) -> list[dict[str, Any]]:
    """Return what `by_reason` counts with more of each: `reason`, `total`, `by_split` and an `example`.

    Rare ones, beyond the first `named`, have an empty example.
    """
    return [
        {
            "reason": reason,
            "total": len(part),
            "by_split": {split: count for split, count in counts(part["split"]).items() if count},
            "example": "" if reason == _REST else some(part, 1),
        }
        for reason, part in _parts(rows, named)
    ]


def _parts(rows: pd.DataFrame, named: int) -> list[tuple[str, pd.DataFrame]]:
    """Return the rows of each of the most frequent reasons, then those of all others."""
    general = rows["reason"].str.split(_DETAILS, n=1, regex=True).str[0]
    counted = sorted(general.value_counts().items(), key=lambda one: (-one[1], str(one[0])))
    first = [str(reason) for reason, _ in counted[:named]]
    found = [(reason, rows[general == reason]) for reason in first]
    return found if len(counted) <= named else [*found, (_REST, rows[~general.isin(first)])]


def some(rows: pd.DataFrame, named: int) -> str:
    """Return the first few samples in words: `a-7 (image.png: no readable image), ...`."""
    first: Sequence[dict[str, str]] = rows.head(named).to_dict("records")  # type: ignore[assignment]
    return ", ".join(f"{row['key']} ({': '.join(filter(None, (row['file'], row['reason'])))})" for row in first)


def _place(split: str) -> int:
    return SPLITS.index(split) if split in SPLITS else len(SPLITS)


def _stable(text: str, roots: Sequence[str]) -> str:
    for root in roots:
        whole = rf"(?<![\w/.-]){re.escape(root)}"  # and not the end of a longer path
        text = re.sub(rf"{whole}/", "", text)
        if root.startswith("/"):  # `data` would stand in many a sentence
            text = re.sub(rf"{whole}(?![\w/.-])", "the data root", text)
    return _ADDRESS.sub("an object", text)
