"""Reads the sample lists of public data sets: their location, their rows, and which rows are rejected and why.

- A group (a video, a film, a person) belongs to one split. If lists have it in several, test takes precedence over
  validation and validation over training: evaluation stays comparable, and training loses a few rows.
- A split that the lists lack is drawn within each class by the hash of (seed, group): it does not depend on the order,
  and adding or removing a row moves only few others.
- Rejected rows are returned as `Rejected`, with file and line.
"""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from umemma import json_text, limits
from umemma.data.sample import SPLITS, BadSample, Rejected
from umemma.errors import DataError, OverLimit, ParameterError

_POINTER = b"version https://git-lfs.github.com/"


@dataclass(frozen=True)
class Row:
    """One row of a list: `file` is the list and line it is from, `fields` whatever else the data set needs."""

    key: str
    split: str
    label: int
    group: str
    file: str
    fields: tuple[str, ...] = ()


def folder_with(root: Path, name: str, markers: Sequence[str]) -> Path:
    """Return `root/name`, or `root` itself, whichever holds one of `markers`. Raises DataError naming both."""
    folders = [root / name, root]
    for folder in folders:
        if any((folder / marker).exists() for marker in markers):
            return folder
    tried = " nor ".join(dict.fromkeys(map(str, folders)))
    raise DataError(
        f"neither {tried} holds {' or '.join(markers)}; dataset.root or the variable UMEMMA_DATA names "
        "the folder that does"
    )


def lines(path: Path) -> list[tuple[str, str]]:
    """Return (file and line number, text) for every non-blank line. Raises DataError if it is not UTF-8."""
    return [(f"{path}:{number}", line) for number, line in enumerate(text(path).splitlines(), 1) if line.strip()]


def text(path: Path) -> str:
    """Return a whole list as text, without a byte order mark. Raises DataError if it cannot be read."""
    try:
        return limits.content(path).decode("utf-8-sig")
    except OverLimit as error:
        raise OverLimit(f"{path}: {error}") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no UTF-8: byte {error.start} is {error.object[error.start]:#04x}") from error


def mapping(path: Path) -> dict[str, Any]:
    """Return the mapping in a JSON file. Raises DataError if it does not contain one."""
    try:
        content = json_text.parsed(text(path))
    except ValueError as error:
        raise DataError(f"{path} is no valid JSON: {error}") from error
    except OverLimit as error:
        raise OverLimit(f"{path}: {error}") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} holds no mapping but a {type(content).__name__}")
    return content


def once(rows: Iterable[Row], *, keep: str = "first") -> tuple[list[Row], list[Rejected]]:
    """Remove groups that are in two splits and repeated keys; return the kept rows, in order, and the rejected ones.

    `keep`: of the rows of a split with the same key, keep the `first` or the `last`. Groups in two splits are resolved
    first, so that a label of the training list never replaces one of the test list.
    """
    if keep not in ("first", "last"):
        raise ParameterError(f"dataset.options.repeated is 'first' or 'last', not {keep!r}")
    listed = list(rows)
    home: dict[str, Row] = {}
    for row in listed:
        if row.group not in home or SPLITS.index(row.split) > SPLITS.index(home[row.group].split):
            home[row.group] = row
    of_key: dict[str, Row] = {}
    for row in listed if keep == "last" else reversed(listed):
        if row.split == home[row.group].split:
            of_key[row.key] = row
    kept, rejected = [], []
    for row in listed:
        if row.split != home[row.group].split:
            other = home[row.group]
            rejected.append(Rejected(row.key, row.split, row.file, f"also in {other.split} ({Path(other.file).name})"))
        elif of_key[row.key] is not row:
            rejected.append(
                Rejected(
                    row.key, row.split, row.file, f"listed twice; {Path(of_key[row.key].file).name} counts (the {keep})"
                )
            )
        else:
            kept.append(row)
    return kept, rejected


def in_order(classes: Sequence[str], known: Collection[str], where: str) -> tuple[str, ...]:
    """Return `classes` in the given order. Raises ParameterError if they are not the known classes."""
    if sorted(classes) != sorted(known):
        lacking, more = sorted(set(known) - set(classes)), sorted(set(classes) - set(known))
        problems = [
            f"{problem} {', '.join(names)}" for problem, names in (("lacking", lacking), ("not of it", more)) if names
        ]
        raise ParameterError(
            f"dataset.classes must be the {len(known)} classes of {where}, in any order; "
            f"{' and '.join(problems) or 'one is repeated'}"
        )
    return tuple(classes)


def held_out(rows: Sequence[Row], *, share: float, seed: int) -> list[Row]:
    """Return the rows with a `share` of the training groups moved to val, stratified by class, in the same order."""
    if not 0 < share < 1:
        raise ParameterError(f"dataset.options.val_share must lie between 0 and 1, not {share}")
    label_of = {row.group: row.label for row in reversed(rows) if row.split == "train"}
    split_of = drawn(label_of, {"train": 1 - share, "val": share}, seed)
    return [replace(row, split=split_of[row.group]) if row.split == "train" else row for row in rows]


def drawn(label_of: Mapping[str, int], shares: Mapping[str, float], seed: int) -> dict[str, str]:
    """Draw a split for each group, with the `shares` within each class up to rounding."""
    bounds = np.cumsum(list(shares.values()))[:-1]
    split_of: dict[str, str] = {}
    for label in sorted(set(label_of.values())):
        groups = sorted(
            (group for group, group_label in label_of.items() if group_label == label),
            key=lambda group: hashlib.sha256(f"{seed}/{group}".encode()).digest(),
        )
        parts = np.split(np.array(groups, dtype=object), np.rint(bounds * len(groups)).astype(int))
        split_of |= {group: split for split, part in zip(shares, parts, strict=True) for group in part}
    return split_of


def by_split(rows: Sequence[Row], rejected: Sequence[Rejected]) -> dict[str, list[Row]]:
    """Return the rows of each split, in order; a list may be empty. Raises DataError if no row is left at all."""
    if not rows:
        why = [f"{rejection.file}: {rejection.reason}" for rejection in rejected[:1]] or ["none is listed"]
        raise DataError(f"no sample is left, {len(rejected)} were left out; {why[0]}")
    return {split: [row for row in rows if row.split == split] for split in SPLITS}


def named(path: Path) -> bytes:
    """Return the bytes of a file that a list names. Raises BadSample if it is unreadable or empty."""
    try:
        content = limits.content(path)
    except OSError as error:
        raise BadSample(str(path), f"cannot be read: {error.strerror}") from error
    except OverLimit as error:
        raise BadSample(str(path), str(error)) from error
    if not content:
        raise BadSample(str(path), "is empty")
    if content.startswith(_POINTER):
        raise BadSample(str(path), "is a Git LFS pointer, not the file: `git lfs pull` fetches it")
    return content


@contextmanager
def blamed(file: Path | str) -> Iterator[None]:
    """Turn a DataError about a file's content into a BadSample that names the file."""
    try:
        yield
    except BadSample:
        raise
    except DataError as error:
        raise BadSample(str(file), str(error)) from error
