"""Which column is the key, the split, the label, the group: guessed by name and content, for `umemma init`.

A guess that could be wrong is said to be one. What a person names is taken as named.
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
    """The label column or columns, and the classes in them in sorted order, whole numbers by their value."""

    columns: str | list[str]
    task: Literal["single_label", "multi_label"]
    separator: str
    classes: tuple[str, ...]
    counts: Mapping[str, int]


@dataclass(frozen=True)
class Roles:
    """The columns that are no modality, `reserved` all of their names; a key of paths may be a modality as well."""

    key: Column | None
    split: Column | None
    group: Column | None
    label: Label
    reserved: frozenset[str]
    unsure: tuple[str, ...]


def roles(
    columns: Mapping[str, Column], *, key: str | None, split: str | None, label: Sequence[str], group: str | None
) -> Roles:
    """Return every column's role; arguments are names that a person has given, none or empty where not."""
    own_split = named(columns, split, "split") if split else _split(columns)
    taken = {*label, *([own_split.name] if own_split else [])}
    own_group = named(columns, group, "group") if group else _group(columns, taken)
    taken |= {own_group.name} if own_group else set()
    own_key = named(columns, key, "key") if key else _key(columns, taken)
    is_word_key = own_key is not None and own_key.path_kind is None
    taken |= {own_key.name} if own_key and is_word_key else set()
    own_label, unsure = _label(columns, label, taken - set(label))
    label_columns = [own_label.columns] if isinstance(own_label.columns, str) else own_label.columns
    doubts = [unsure] if unsure else []
    if own_key is None:
        doubts.append(
            "no column has another name in every row, so the samples are called by a digest of what they "
            "hold; --key COLUMN names one"
        )
    if own_group is None:
        likely = [
            one.name
            for one in columns.values()
            if one.name not in taken and one.name not in label_columns and _may_be_a_group(one)
        ]
        doubts.append(
            "no column is taken to say what must stay in one split, such as a person, a recording, a film"
            + (f"; is it {some(likely)}?" if likely else ";")
            + " --group COLUMN names one"
        )
    return Roles(own_key, own_split, own_group, own_label, frozenset({*taken, *label_columns}), tuple(doubts))


def named(columns: Mapping[str, Column], name: str, role: str) -> Column:
    """Return the column that a person has named. Raises ParameterError where there is none."""
    if name not in columns:
        raise ParameterError(unknown(f"--{role}", "column", name, columns))
    return columns[name]


def _split(columns: Mapping[str, Column]) -> Column | None:
    """Return the column whose cells are all names of splits, of two at least."""
    found = [
        one
        for one in columns.values()
        if not one.holds_lists
        and one.counts
        and all(said.casefold() in SPELLINGS for said in one.counts)
        and len({SPELLINGS[said.casefold()] for said in one.counts}) > 1
    ]
    return min(found, key=lambda one: _rank(one, SPLITS), default=None)


def _key(columns: Mapping[str, Column], taken: Collection[str]) -> Column | None:
    """Return a column with another cell in every row: by its name, else of words, else of paths; no other numbers."""
    free = [one for one in columns.values() if one.name not in taken and one.is_complete and one.is_unique]
    by_name = [one for one in free if _plain(one.name) in KEYS or _plain(one.name).endswith("_id")]
    if by_name:
        return min(by_name, key=lambda one: _rank(one, KEYS))
    words = [one for one in free if not one.are_numbers and not one.is_long_text]
    return min(words, key=lambda one: one.path_kind is not None, default=None)


def _group(columns: Mapping[str, Column], taken: Collection[str]) -> Column | None:
    """Return a column by its name, if it does not say something else in every row."""
    found = [
        one
        for one in columns.values()
        if one.name not in taken
        and _plain(one.name) in GROUPS
        and not one.holds_lists
        and 1 < len(one.counts) < len(one.filled)
    ]
    return min(found, key=lambda one: _rank(one, GROUPS), default=None)


def _label(columns: Mapping[str, Column], given: Sequence[str], taken: Collection[str]) -> tuple[Label, str | None]:
    """Return the label, and what is unsure about it. Raises DataError where no column looks like one."""
    if given:
        chosen = [named(columns, name, "label") for name in given]
        return (_flags(chosen) if len(chosen) > 1 else _one_column(chosen[0])), None
    free = [
        one
        for one in columns.values()
        if one.name not in taken
        and one.path_kind is None
        and not (one.is_long_text and len(one.counts) > len(one.filled) / 2)
    ]
    by_name = [one for one in free if _plain(one.name) in LABELS and (one.holds_lists or len(one.counts) > 1)]
    if by_name:
        return _one_column(min(by_name, key=lambda one: _rank(one, LABELS))), None
    flags = [one for one in free if one.are_flags]
    if len(flags) > 1:
        return _flags(flags), (
            f"the label is taken to be the columns of 0 and 1, {some(one.name for one in flags)}; "
            "--label COLUMN ... names others"
        )
    few = [
        one
        for one in free
        if not one.holds_lists
        and one.counts
        and 2 <= len(one.counts) <= len(one.filled) / 4
        and (one.are_whole or not one.are_numbers)
    ]
    if not few:
        raise DataError(
            f"none of the columns {some(columns, 20)} looks like a label; name it: --label COLUMN, or one "
            "column of 0 and 1 for each class: --label COLUMN COLUMN ..."
        )
    chosen_one = min(few, key=lambda one: len(one.counts))
    return _one_column(chosen_one), (
        f"the label is taken to be {chosen_one.name}, the column of the fewest different "
        "values; --label COLUMN names another"
    )


def _may_be_a_group(one: Column) -> bool:
    """Whether a column holds names that each stand in a few rows, 2 to 20 on average."""
    return (
        not one.holds_lists
        and not one.are_numbers
        and not one.path_kind
        and not one.is_long_text
        and len(one.filled) / 20 <= len(one.counts) <= len(one.filled) / 2
    )


def _one_column(one: Column) -> Label:
    separator = "|" if one.holds_lists else _separator(one)
    is_multi = one.holds_lists or separator is not None
    counts = (
        Counter(said for cell in one.filled for said in set(items(cell, separator or "|"))) if is_multi else one.counts
    )
    if not 2 <= len(counts) <= _MOST_CLASSES:
        raise DataError(f"column {one.name} holds {len(counts)} different labels; 2 to {_MOST_CLASSES} make classes")
    return Label(one.name, "multi_label" if is_multi else "single_label", separator or "|", _sorted(counts), counts)


def _flags(chosen: Sequence[Column]) -> Label:
    """Return the label of columns of 0 and 1; every row has one class, or any number."""
    for one in chosen:
        if not one.are_flags:
            raise ParameterError(f"--label: each of several label columns must say 0 or 1, and {one.name} does not")
    applies = {one.name: [yes_or_no(cell) for cell in one.filled] for one in chosen}
    is_single = all(sum(row) == 1 for row in zip(*applies.values(), strict=True))
    counts = {name: sum(rows) for name, rows in applies.items()}
    return Label(list(counts), "single_label" if is_single else "multi_label", "|", _sorted(counts), counts)


def _separator(one: Column) -> str | None:
    """Return what separates several labels in a cell: it makes fewer names out of what else were many.

    A bar is hardly ever part of a name; a semicolon or comma may be ("Male speech, man speaking").
    """
    for mark in SEPARATORS:
        parts = {part for said in one.counts for part in items(said, mark)}
        if any(mark in said for said in one.counts) and (
            len(parts) < len(one.counts) or (mark == "|" and len(parts) <= 2 * len(one.counts))
        ):
            return mark
    return None


def _sorted(names: Mapping[str, int]) -> tuple[str, ...]:
    if all(name.isdecimal() and name.isascii() for name in names):
        return tuple(sorted(names, key=int))
    return tuple(sorted(names))


def _plain(name: str) -> str:
    return name.strip().casefold().replace(" ", "_").replace("-", "_")


def _rank(one: Column, names: Sequence[str]) -> int:
    return names.index(_plain(one.name)) if _plain(one.name) in names else len(names)
