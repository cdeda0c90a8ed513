"""Guesses for `umemma init`: which column is the key, the split, the label, the group, and which are left out.

Every guess has its reason, and the flag that names another column or, with `none`, none at all. What the user names is
taken as named. A guess that would make a run impossible is not taken.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from umemma.errors import ParameterError, some, unknown
from umemma.init import label as labels
from umemma.init import readings
from umemma.init.columns import Column
from umemma.init.groups import groups
from umemma.init.label import Asked, Label
from umemma.init.leaks import leaks
from umemma.sources.tables.rows import SPELLINGS

NONE = "none"  # what a flag says instead of a column
KEYS = ("key", "id", "sample_id", "uid", "uuid", "identifier", "index")
SPLITS = ("split", "set", "subset", "partition", "fold", "usage")


@dataclass(frozen=True)
class Named:
    """What the user has said about columns; None or empty: nothing. `none` as a name: there is none."""

    key: str | None = None
    split: str | None = None
    label: Sequence[str] = ()
    group: str | None = None
    drop: Sequence[str] = ()
    keep: Sequence[str] = ()
    missing: Sequence[str] | None = None
    spellings: str | None = None


@dataclass(frozen=True)
class Guess:
    """One guess: what for, what it is, why, and the flag that undoes it; `reason` empty if the user said so."""

    role: str
    value: str
    reason: str
    flag: str


@dataclass(frozen=True)
class Roles:
    """The columns with a role; `left_out` {column: reason}; `unsure`: sentences."""

    key: Column | None
    split: Column | None
    group: Column | None
    label: Label
    left_out: Mapping[str, str]
    guesses: Sequence[Guess]
    unsure: Sequence[str]

    @property
    def reserved(self) -> set[str]:
        """The columns that cannot be modalities; a key of paths may be one as well."""
        named = {column.name for column in (self.split, self.group) if column and not column.path_kind}
        if self.key and self.key.path_kind is None:
            named.add(self.key.name)
        return {*named, *self.label.names, *self.left_out}


def roles(columns: Mapping[str, Column], cells: Mapping[str, Sequence[object]], named: Named) -> Roles:
    """Return every column's role. Raises DataError or ParameterError if there is no label, or a name is no column."""
    dropped = {_known(columns, name, "drop").name: "--drop" for name in named.drop}
    for name in named.keep:
        _known(columns, name, "keep")
    asked = Asked(named.missing, named.spellings)
    free = {name: column for name, column in columns.items() if name not in dropped}
    split, split_guess, unsure = _split(free, named.split)
    taken = {*named.label, *([split.name] if split else [])}
    key, key_guess = _key(free, named.key, {*taken, *([named.group] if named.group else [])})
    words = {key.name} if key and key.path_kind is None else set()
    if named.label:
        for name in named.label:
            _known(columns, name, "label")
        label, reason = labels.given(columns, cells, named.label, asked), ""
    else:
        others = {column for column in (named.group, named.key) if column}
        label, reason = labels.guessed(free, cells, {*taken, *words, *others, *named.keep}, asked)
    guesses = [Guess("label", some(label.names, 3), reason, "--label COLUMN ...")]
    not_groups = {*taken, *words, *label.names, *named.keep}
    group, group_guess, group_doubts = _group(free, label, named.group, not_groups, split)
    others = {*label.names, *words, *([split.name] if split else []), *([group.name] if group else [])}
    left_out = dropped | leaks({name: column for name, column in free.items() if name not in others}, label, named.keep)
    return Roles(
        key, split, group, label, left_out, [*guesses, key_guess, group_guess, split_guess], [*group_doubts, *unsure]
    )


def _known(columns: Mapping[str, Column], name: str, flag: str) -> Column:
    """Return the column that the user has named. Raises ParameterError if it does not exist."""
    if name not in columns:
        raise ParameterError(unknown(f"--{flag}", "column", name, columns))
    return columns[name]


def _split(columns: Mapping[str, Column], name: str | None) -> tuple[Column | None, Guess, list[str]]:
    """Return the column whose cells are all names of splits, at least two different ones."""
    if name == NONE:
        return None, Guess("split", "drawn", "", "--split COLUMN"), []
    if name is not None:
        return _known(columns, name, "split"), Guess("split", name, "", "--split COLUMN"), []
    known = {column.name: {SPELLINGS.get(value.casefold()) for value in column.counts} for column in columns.values()}
    fitting = [column for column in columns.values() if None not in known[column.name] and len(known[column.name]) > 1]
    if fitting:
        best = min(fitting, key=lambda column: _rank(column, SPLITS))
        return (
            best,
            Guess("split", best.name, f"its cells are {some(sorted(best.counts))}", "--split COLUMN | none"),
            [],
        )
    doubts = [
        f"{column.name} looks like a split, but its {some(map(repr, _unknown(column)), 3)} is none of "
        f"{some(SPELLINGS, 9)}; rename it in the table, or splits are drawn anew"
        for column in columns.values()
        if len(known[column.name] - {None}) and len(column.counts) <= 6 and _rank(column, SPLITS) < len(SPLITS)
    ]
    return None, Guess("split", "drawn", "no column names train, val and test", "--split COLUMN"), doubts


def _unknown(column: Column) -> list[str]:
    return [value for value in column.counts if value.casefold() not in SPELLINGS]


def _key(columns: Mapping[str, Column], name: str | None, taken: Collection[str]) -> tuple[Column | None, Guess]:
    """Return a column of unique cells: by name, else one of words, else one of paths; numbers only by name."""
    if name == NONE:
        return None, Guess("key", NONE, "", "--key COLUMN")
    if name is not None:
        return _known(columns, name, "key"), Guess("key", name, "", "--key COLUMN")
    free = [
        column for column in columns.values() if column.name not in taken and column.is_complete and column.is_unique
    ]
    by_name = [column for column in free if _plain(column.name) in KEYS or _plain(column.name).endswith("_id")]
    words = [
        column for column in free if not column.are_numbers and not column.is_long_text and not _are_values(column)
    ]
    best = (
        min(by_name, key=lambda column: _rank(column, KEYS))
        if by_name
        else min(words, key=lambda column: column.path_kind is not None, default=None)
    )
    if best is None:
        return None, Guess("key", NONE, "no column has unique names: a hash of the row's content", "--key COLUMN")
    return best, Guess("key", best.name, "different in every row", "--key COLUMN | none")


def _group(
    columns: Mapping[str, Column], label: Label, name: str | None, taken: Collection[str], split: Column | None
) -> tuple[Column | None, Guess, list[str]]:
    if name == NONE:
        return None, Guess("group", NONE, "", "--group COLUMN"), []
    if name is not None:
        return _known(columns, name, "group"), Guess("group", name, "", "--group COLUMN"), []
    found = groups(columns, label, taken, split)
    if found.column:
        return found.column, Guess("group", found.column.name, found.reason, "--group COLUMN | none"), []
    doubt = (
        "no column is taken to say what must stay in one split, such as a person, a recording, a film"
        + (f"; is it {some(found.likely)}?" if found.likely else ";")
        + " --group COLUMN names one"
    )
    return None, Guess("group", NONE, found.reason, "--group COLUMN"), [doubt]


def _are_values(column: Column) -> bool:
    """Whether a column's cells are times or numbers that are written with marks or units, not names."""
    return not column.holds_files and not isinstance(readings.guess(column, has_decimal_commas=False), str)


def _plain(name: str) -> str:
    return name.strip().casefold().replace(" ", "_").replace("-", "_")


def _rank(column: Column, names: Sequence[str]) -> int:
    return names.index(_plain(column.name)) if _plain(column.name) in names else len(names)
