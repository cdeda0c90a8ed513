"""Guesses for `umemma init`: which column says what must stay in one split - a person, a recording, a film.

By name, or an id that several rows share, or a file that several rows name. A group that cannot be cut in three with
every class on each side is not guessed: two devices are no groups. Nor is one that the table's own splits cut.
"""

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass

from umemma.init.columns import Column
from umemma.init.label import Label
from umemma.init.leaks import is_id
from umemma.init.telling import SURE, codes, tells
from umemma.sources.tables.cells import text

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
    "participant_id",
    "speaker",
    "speaker_id",
    "actor",
    "user",
    "user_id",
    "src_file",
    "source_file",
    "source",
    "source_id",
    "author",
    "director",
    "studio",
    "artist",
    "session",
    "session_id",
    "recording",
    "recording_id",
    "video_id",
    "film_id",
    "movie_id",
    "document_id",
    "scene",
    "family",
    "site",
    "device",
)
NUM_SPLITS = 3
_FEW_VALUES_A_ROW = (2, 50)  # rows that share an id on average, for it to be that of a group


@dataclass(frozen=True)
class Groups:
    """The guessed column and why; else None and why not. `likely` are names of further candidates."""

    column: Column | None
    reason: str
    likely: Sequence[str] = ()


def groups(columns: Mapping[str, Column], label: Label, taken: Collection[str], split: Column | None = None) -> Groups:
    """Return the guess among columns that have no other role; `split`: the table's own splits."""
    free = [
        column
        for column in columns.values()
        if column.name not in taken and column.counts and 1 < len(column.counts) < len(column.filled)
    ]
    by_name = sorted(
        (column for column in free if _plain(column.name) in GROUPS), key=lambda c: GROUPS.index(_plain(c.name))
    )
    low, high = _FEW_VALUES_A_ROW
    ids = [column for column in free if is_id(column) and low <= len(column.filled) / len(column.counts) <= high]
    files = [column for column in free if column.path_kind]
    refused = []
    for column in {column.name: column for column in [*by_name, *ids, *files]}.values():
        if (why := obstacle(column, label) or _cut(column, split)) is None:
            what = "files" if column.path_kind else "values" if _plain(column.name) in GROUPS else "ids"
            return Groups(column, f"{len(column.counts)} {what} in {len(column.filled)} rows")
        if _plain(column.name) in GROUPS or is_id(column):
            refused.append(f"{column.name} is not taken: {why}")
    likely = [column.name for column in free if _may_be_a_group(column) and obstacle(column, label) is None]
    return Groups(None, "; ".join(refused) or "no column is called a person, a recording or an id", likely)


def obstacle(column: Column, label: Label) -> str | None:
    """Return why splits by a column cannot each have every class, None if they can."""
    cells = group_of_rows(column)
    if len(column.counts) < NUM_SPLITS:
        return f"its {len(column.counts)} values cannot be cut in {NUM_SPLITS}"
    targets = label.targets.get("")
    if targets is not None and tells(codes(targets), codes(cells)) >= SURE:
        return "it is the label once more"
    scarce = [
        name
        for name in label.classes
        if label.counts[name] >= NUM_SPLITS and len(holders(cells, label, name)) < NUM_SPLITS
    ]
    if scarce:
        more = f" and {len(scarce) - 1} more classes" if len(scarce) > 1 else ""
        return f"{scarce[0]}{more} would be in fewer than {NUM_SPLITS} of its values, and cannot be in every split"
    return None


def _cut(column: Column, split: Column | None) -> str | None:
    """Return that a column's values are in several of the table's own splits, None if none is."""
    if split is None:
        return None
    splits: dict[str, set[str]] = {}
    for group, name in zip(group_of_rows(column), group_of_rows(split), strict=True):
        if group is not None and name is not None:
            splits.setdefault(group, set()).add(name)
    if num_cut := sum(len(names) > 1 for names in splits.values()):
        return (
            f"{num_cut} of its {len(splits)} values are in more than one split of {split.name}, so test data may resemble "
            "training data"
        )
    return None


def holders(cells: Sequence[Hashable | None], label: Label, name: str) -> set[Hashable]:
    """Return the groups that have rows of a class; a row without a group is one of its own."""
    if "" in label.targets:
        has = [target == name for target in label.targets[""]]
    else:
        has = [bool(target) for target in label.targets[name]]
    return {
        (row if group is None else group)
        for row, (group, has_class) in enumerate(zip(cells, has, strict=True))
        if has_class
    }


def group_of_rows(column: Column) -> list[str | None]:
    """Return a column's cells as text, None where one is missing."""
    filled = iter(column.filled)
    return [text(next(filled)) if is_present else None for is_present in column.present]


def _may_be_a_group(column: Column) -> bool:
    """Whether a column holds names that each occur in a few rows, 2 to 20 on average."""
    return (
        not column.are_mostly_numbers
        and not column.path_kind
        and not column.is_long_text
        and len(column.filled) / 20 <= len(column.counts) <= len(column.filled) / 2
    )


def _plain(name: str) -> str:
    return name.strip().casefold().replace(" ", "_").replace("-", "_")
