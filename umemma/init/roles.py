"""Guesses for `umemma init`, by name and content: which column is the key, the split, the label, the group.

Uncertain guesses are reported as such. Columns that the user names are taken as given.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from umemma.errors import DataError, ParameterError, some, unknown
from umemma.init.columns import Column
from umemma.sources.tables.cells import items, yes_or_no
from umemma.sources.tables.rows import SPELLINGS

KEYS = ("key", "id", "sample_id", "uid", "uuid", "identifier", "index")
SPLITS = ("split", "set", "subset", "partition", "fold")
LABELS = (
    "label",
    "labels",
    "class",
    "classes",
    "target",
    "y",
    "category",
    "categories",
    "genre",
    "genres",
    "tag",
    "tags",
    "emotion",
    "sentiment",
    "diagnosis",
    "species",
    "outcome",
)
GROUPS = (
    "group",
    "group_id",
    "subject",
    "subject_id",
    "patient",
    "patient_id",
    "person",
    "person_id",
    "participant",
    "speaker",
    "speaker_id",
    "actor",
    "user",
    "user_id",
    "author",
    "director",
    "studio",
    "artist",
    "session",
    "recording",
    "video_id",
    "film_id",
    "movie_id",
    "document_id",
    "scene",
    "family",
    "site",
    "device",
)
SEPARATORS = ("|", ";", ",")
_MOST_CLASSES = 1000


@dataclass(frozen=True)
class Label:
    """The label column or columns, and their classes in sorted order (whole numbers by value)."""

    columns: str | list[str]
    task: Literal["single_label", "multi_label"]
    separator: str
    classes: tuple[str, ...]
    counts: Mapping[str, int]


@dataclass(frozen=True)
class Roles:
    """The columns with a role; `reserved`: those that cannot be modalities (a key of paths may be one as well)."""

    key: Column | None
    split: Column | None
    group: Column | None
    label: Label
    reserved: frozenset[str]
    unsure: tuple[str, ...]


def roles(
    columns: Mapping[str, Column], *, key: str | None, split: str | None, label: Sequence[str], group: str | None
) -> Roles:
    """Return every column's role; arguments are names that the user has given, None or empty if not given."""
    split_column = named(columns, split, "split") if split else _split(columns)
    taken = {*label, *([split_column.name] if split_column else [])}
    group_column = named(columns, group, "group") if group else _group(columns, taken)
    taken |= {group_column.name} if group_column else set()
    key_column = named(columns, key, "key") if key else _key(columns, taken)
    is_word_key = key_column is not None and key_column.path_kind is None
    taken |= {key_column.name} if key_column and is_word_key else set()
    chosen_label, unsure = _label(columns, label, taken - set(label))
    label_columns = [chosen_label.columns] if isinstance(chosen_label.columns, str) else chosen_label.columns
    doubts = [unsure] if unsure else []
    if key_column is None:
        doubts.append(
            "no column has unique names, so the samples are identified by a hash of their "
            "content; --key COLUMN names one"
        )
    if group_column is None:
        likely = [
            column.name
            for column in columns.values()
            if column.name not in taken and column.name not in label_columns and _may_be_a_group(column)
        ]
        doubts.append(
            "no column is taken to say what must stay in one split, such as a person, a recording, a film"
            + (f"; is it {some(likely)}?" if likely else ";")
            + " --group COLUMN names one"
        )
    return Roles(
        key_column, split_column, group_column, chosen_label, frozenset({*taken, *label_columns}), tuple(doubts)
    )


def named(columns: Mapping[str, Column], name: str, role: str) -> Column:
    """Return the column that the user has named. Raises ParameterError if it does not exist."""
    if name not in columns:
        raise ParameterError(unknown(f"--{role}", "column", name, columns))
    return columns[name]


def _split(columns: Mapping[str, Column]) -> Column | None:
    """Return the column whose cells are all names of splits, at least two different ones."""
    candidates = [
        column
        for column in columns.values()
        if not column.holds_lists
        and column.counts
        and all(value.casefold() in SPELLINGS for value in column.counts)
        and len({SPELLINGS[value.casefold()] for value in column.counts}) > 1
    ]
    return min(candidates, key=lambda column: _rank(column, SPLITS), default=None)


def _key(columns: Mapping[str, Column], taken: Collection[str]) -> Column | None:
    """Return a column of unique cells: by name, else one of words, else one of paths; numbers only by name."""
    free = [
        column for column in columns.values() if column.name not in taken and column.is_complete and column.is_unique
    ]
    by_name = [column for column in free if _plain(column.name) in KEYS or _plain(column.name).endswith("_id")]
    if by_name:
        return min(by_name, key=lambda column: _rank(column, KEYS))
    words = [column for column in free if not column.are_numbers and not column.is_long_text]
    return min(words, key=lambda column: column.path_kind is not None, default=None)


def _group(columns: Mapping[str, Column], taken: Collection[str]) -> Column | None:
    """Return a column by name, unless its cells are all distinct."""
    candidates = [
        column
        for column in columns.values()
        if column.name not in taken
        and _plain(column.name) in GROUPS
        and not column.holds_lists
        and 1 < len(column.counts) < len(column.filled)
    ]
    return min(candidates, key=lambda column: _rank(column, GROUPS), default=None)


def _label(columns: Mapping[str, Column], given: Sequence[str], taken: Collection[str]) -> tuple[Label, str | None]:
    """Return the label, and a sentence if it is uncertain. Raises DataError if no column looks like a label."""
    if given:
        chosen = [named(columns, name, "label") for name in given]
        return (_flags(chosen) if len(chosen) > 1 else _single_column(chosen[0])), None
    free = [
        column
        for column in columns.values()
        if column.name not in taken
        and column.path_kind is None
        and not (column.is_long_text and len(column.counts) > len(column.filled) / 2)
    ]
    by_name = [
        column for column in free if _plain(column.name) in LABELS and (column.holds_lists or len(column.counts) > 1)
    ]
    if by_name:
        return _single_column(min(by_name, key=lambda column: _rank(column, LABELS))), None
    flags = [column for column in free if column.are_flags]
    if len(flags) > 1:
        return _flags(flags), (
            f"the label is taken to be the columns of 0 and 1, {some(column.name for column in flags)}; "
            "--label COLUMN ... names others"
        )
    few = [
        column
        for column in free
        if not column.holds_lists
        and column.counts
        and 2 <= len(column.counts) <= len(column.filled) / 4
        and (column.are_whole or not column.are_numbers)
    ]
    if not few:
        raise DataError(
            f"none of the columns {some(columns, 20)} looks like a label; name it: --label COLUMN, or one "
            "column of 0 and 1 for each class: --label COLUMN COLUMN ..."
        )
    fewest = min(few, key=lambda column: len(column.counts))
    return _single_column(fewest), (
        f"the label is taken to be {fewest.name}, the column of the fewest different "
        "values; --label COLUMN names another"
    )


def _may_be_a_group(column: Column) -> bool:
    """Whether a column holds names that each occur in a few rows, 2 to 20 on average."""
    return (
        not column.holds_lists
        and not column.are_numbers
        and not column.path_kind
        and not column.is_long_text
        and len(column.filled) / 20 <= len(column.counts) <= len(column.filled) / 2
    )


def _single_column(column: Column) -> Label:
    separator = "|" if column.holds_lists else _separator(column)
    is_multi = column.holds_lists or separator is not None
    counts = (
        Counter(value for cell in column.filled for value in set(items(cell, separator or "|")))
        if is_multi
        else column.counts
    )
    if not 2 <= len(counts) <= _MOST_CLASSES:
        raise DataError(f"column {column.name} holds {len(counts)} different labels; 2 to {_MOST_CLASSES} make classes")
    return Label(column.name, "multi_label" if is_multi else "single_label", separator or "|", _sorted(counts), counts)


def _flags(chosen: Sequence[Column]) -> Label:
    """Return the label made of several columns of 0 and 1; single-label if every row has exactly one 1."""
    for column in chosen:
        if not column.are_flags:
            raise ParameterError(f"--label: each of several label columns must say 0 or 1, and {column.name} does not")
    applies = {column.name: [yes_or_no(cell) for cell in column.filled] for column in chosen}
    is_single = all(sum(row) == 1 for row in zip(*applies.values(), strict=True))
    counts = {name: sum(rows) for name, rows in applies.items()}
    return Label(list(counts), "single_label" if is_single else "multi_label", "|", _sorted(counts), counts)


def _separator(column: Column) -> str | None:
    """Return the separator of several labels in a cell: splitting by it must reduce the number of distinct names.

    A bar is hardly ever part of a name, a semicolon or comma may be ("Male speech, man speaking").
    """
    for mark in SEPARATORS:
        parts = {part for value in column.counts for part in items(value, mark)}
        if any(mark in value for value in column.counts) and (
            len(parts) < len(column.counts) or (mark == "|" and len(parts) <= 2 * len(column.counts))
        ):
            return mark
    return None


def _sorted(names: Mapping[str, int]) -> tuple[str, ...]:
    if all(name.isdecimal() and name.isascii() for name in names):
        return tuple(sorted(names, key=int))
    return tuple(sorted(names))


def _plain(name: str) -> str:
    return name.strip().casefold().replace(" ", "_").replace("-", "_")


def _rank(column: Column, names: Sequence[str]) -> int:
    return names.index(_plain(column.name)) if _plain(column.name) in names else len(names)
