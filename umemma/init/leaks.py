"""Columns that `umemma init` leaves out as features because they say what must not be known: the label, or the split.

- The label a second time, by another name, number or level (class and classID, 2_way_label and 6_way_label): a column
  that tells the label, or that the label tells.
- The number of a fold, and ids: of what was recorded, of the row. An id of the source is offered as group.

Each is named with its reason, and `--keep COLUMN` takes it as a feature after all.
"""

import re
from collections.abc import Collection, Mapping

from umemma.init.columns import Column
from umemma.init.label import Label
from umemma.init.telling import SURE, codes, tells

FOLDS = {"fold", "folds", "kfold", "cv"}
CALLED = {"label", "labels", "target", "targets", "class", "classes"}
_MOST_FOLDS = 20
_ROWS_A_VALUE = 4  # on average; what tells the label in fewer may do so by chance, and is a name rather than a level
_TOKENS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")


def tokens(name: str) -> list[str]:
    """Return the words of a column's name, in lower case: `classID` is class and id."""
    return [token.casefold() for token in _TOKENS.findall(name)] or [name.strip().casefold()]


def is_fold(column: Column) -> bool:
    """Whether a column has the number of a fold."""
    return bool(FOLDS & set(tokens(column.name))) and column.are_whole and len(column.counts) <= _MOST_FOLDS


def is_id(column: Column) -> bool:
    """Whether a column is called an id."""
    return tokens(column.name)[-1] in {"id", "ids", "uid", "uuid", "guid"}


def leaks(columns: Mapping[str, Column], label: Label, kept: Collection[str]) -> dict[str, str]:
    """Return {column: why it is no feature} of columns other than label, key, group and split."""
    reasons = {}
    for column in columns.values():
        if column.name in kept or not column.counts or column.path_kind:
            continue
        if why := _tells_label(column, label):
            reasons[column.name] = why
        elif tokens(column.name)[-1] in CALLED:
            reasons[column.name] = "called as a label is"
        elif is_fold(column):
            reasons[column.name] = "the number of a fold; --group keeps each fold in one split"
        elif is_id(column) and not column.is_unique:
            reasons[column.name] = "an id; --group keeps what it names in one split"
    return reasons


def _tells_label(column: Column, label: Label) -> str | None:
    for name, targets in label.targets.items():
        if column.is_long_text and len(column.counts) != len(set(targets) - {None}):
            continue
        known = codes(targets)
        forth, back = tells(column.codes, known), tells(known, column.codes)
        # one class of several is told by its own flag only if it tells the flag as well
        if name and not (forth >= SURE and back >= SURE):
            continue
        what = f"the class {name}" if name else "the label"
        if forth >= SURE and back >= SURE:
            return f"{what} once more: each of its {len(column.counts)} values goes with one"
        if forth >= SURE and len(column.counts) <= len(column.filled) / _ROWS_A_VALUE:
            return f"tells {what}: each of its {len(column.counts)} values goes with one class"
        if back >= SURE and len(column.counts) <= len(label.classes):
            return f"{what} at another level: each class goes with one of its {len(column.counts)} values"
    return None
