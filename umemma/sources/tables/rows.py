"""Selects the rows of a table that are samples, and determines the key, group, split and label of each.

An unusable row - no key, a missing or unknown label or split, a partial vector, no modality at all - is listed as
rejected, with its line and reason; a fault of the table as a whole is an error. Of rejected rows only those that cannot
be read are damage: a row without a label, a split or any modality is an ordinary one.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from umemma.data.sample import SPLITS, BadSample, Rejected
from umemma.errors import DataError, ParameterError, some, unknown
from umemma.sources.tables import splits
from umemma.sources.tables.cells import is_missing, text
from umemma.sources.tables.file import Table
from umemma.sources.tables.labels import Label, Labels
from umemma.sources.tables.members import Members

SPELLINGS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "publictest": "val",  # as in FER-2013
    "test": "test",
    "testing": "test",
    "privatetest": "test",
}
DUPLICATES = ("error", "first")
_NAMED = 10  # keys listed in one error


@dataclass(frozen=True)
class Named:
    """Key and group of every row, and the split as written in the table; a missing split is ''."""

    key: Sequence[str]
    group: Sequence[str]
    split: Sequence[str] | None


@dataclass
class Rows:
    """Label and split of the rows that are samples, by row number, and the rejected rows."""

    label: dict[int, Label] = field(default_factory=dict)
    split: dict[int, str] = field(default_factory=dict)
    rejected: list[Rejected] = field(default_factory=list)


def named(
    table: Table, members: Members, *, key: str | None, group: str | None, split: str | None, missing: Collection[str]
) -> Named:
    """Read the key, group and split columns; generate keys and groups that are not in the table.

    Without a key column the key is a hash of the row's content, so that a new row or a corrected label renames no
    other. Duplicates are numbered, and share a group so that none is drawn into another split; where the table itself has
    put them in two, they are copies and no group that it has cut. Without a group, each row is a group of its own.
    """

    def texts(column: str, option: str) -> list[str]:
        return [
            "" if is_missing(cell, missing) else text(cell) for cell in table.cells(column, f"dataset.options.{option}")
        ]

    groups = texts(group, "group") if group is not None else [""] * len(table.places)
    keys = texts(key, "key") if key is not None else [members.digest(row, group) for row, group in enumerate(groups)]
    written = texts(split, "split") if split is not None else None
    contents = list(keys)
    if key is None:
        seen: Counter[str] = Counter()
        for row, content in enumerate(contents):
            seen[content] += 1
            keys[row] = content if seen[content] == 1 else f"{content}-{seen[content]}"
    first: dict[tuple[str, str], str] = {}
    alike = [
        first.setdefault((content, written[row] if written else ""), keys[row]) for row, content in enumerate(contents)
    ]
    group_names = [
        group_name or (f"(no group) {own}" if group is not None else own)
        for group_name, own in zip(groups, alike, strict=True)
    ]
    return Named(keys, group_names, written)


def read(table: Table, members: Members, names: Named, labels: Labels, duplicate_keys: str) -> Rows:
    """Validate every row; splits are '' without a split column. Raises DataError for a duplicate key."""
    rows, doubles = Rows(), _doubles(table, names.key, duplicate_keys)
    columns = [table.cells(column, "dataset.options.label") for column in labels.columns]
    for row, key in enumerate(names.key):
        place, split = table.place(row), ""
        try:
            # the split first, so that a rejected row counts in it
            split = _split(names.split[row], place) if names.split is not None else ""
            if not key:
                raise BadSample(place, "the key is empty")
            if row in doubles:
                # with `duplicate_keys: error` the table itself was refused
                raise BadSample(
                    place, f"duplicate key: {table.place(doubles[row])} has {key!r} already", is_damage=False
                )
            label = labels([cells[row] for cells in columns], place)
            if row in members.bad:
                raise BadSample(place, next(iter(members.bad[row].values())))
            if not any(members.has(name, row) for name in members.names):
                raise BadSample(place, "every modality is missing", is_damage=False)
            rows.label[row], rows.split[row] = label, split
        except BadSample as error:
            rows.rejected.append(Rejected(escaped(key), split, error.file, error.reason, error.is_damage))
    if not rows.label:
        reasons = Counter(rejection.reason for rejection in rows.rejected).most_common(3)
        raise DataError(
            f"{table.path}: none of its {len(rows.rejected)} rows can be used; "
            + "; ".join(f"{reason} ({count} times)" for reason, count in reasons)
        )
    return rows


def draw_splits(
    table: Table, members: Members, rows: Rows, names: Named, *, shares: Mapping[str, float] | None, seed: int
) -> None:
    """Draw splits if there is no split column; with one, redistribute its train rows if shares are given.

    They are alike in classes, and in how many rows have each modality. Raises DataError if a split is empty.
    """
    if names.split is None or shares is not None:
        given = sorted(set(rows.split.values()))
        asked = splits.checked_shares(shares or splits.DEFAULT_SHARES, given)
        open_rows = [row for row, split in rows.split.items() if split in {"", "train"}]
        classes = [(label,) if isinstance(label, int) else label for label in (rows.label[row] for row in open_rows)]
        modalities = [tuple(name for name in members.names if members.has(name, row)) for row in open_rows]
        strata = [(*of_row, *present) for of_row, present in zip(classes, modalities, strict=True)]
        drawn = splits.drawn(strata, [names.group[row] for row in open_rows], asked, seed)
        rows.split.update(zip(open_rows, drawn, strict=True))
    counts = Counter(rows.split.values())
    if empty := [split for split in SPLITS if not counts[split]]:
        advice = (
            "there are too few rows or groups for these shares"
            if names.split is None
            else f"dataset.options.shares: {{{empty[0]}: 0.15}} draws it from the rows of train"
        )
        raise DataError(f"{table.path}: no usable row is in split {' or '.join(empty)} ({dict(counts)}); {advice}")


def escaped(key: str) -> str:
    """Percent-encode the characters that a shard's names cannot hold; `urllib.parse.unquote` decodes them."""
    return "".join(
        character
        if character.isprintable() and character not in "%./\\"
        else "".join(f"%{byte:02X}" for byte in character.encode())
        for character in key
    )


def _split(written: str, place: str) -> str:
    if not written:
        raise BadSample(place, "the split is empty", is_damage=False)
    if written.casefold() not in SPELLINGS:
        raise BadSample(place, f"unknown split: {unknown('the column', 'split', written, SPELLINGS)}")
    return SPELLINGS[written.casefold()]


def _doubles(table: Table, keys: Sequence[str], duplicate_keys: str) -> dict[int, int]:
    """Return {row: first row with the same key}. Raises DataError with the lines if duplicates are errors."""
    if duplicate_keys not in DUPLICATES:
        raise ParameterError(unknown("dataset.options.duplicate_keys", "choice", duplicate_keys, DUPLICATES))
    first: dict[str, int] = {}
    doubles = {row: first[key] for row, key in enumerate(keys) if key and first.setdefault(key, row) != row}
    if doubles and duplicate_keys == "error":
        places: dict[str, list[str]] = {}
        for row, original in doubles.items():
            places.setdefault(keys[row], [table.place(original)]).append(table.place(row))
        lines = [f"  {key!r}: {some(where, _NAMED)}" for key, where in places.items()]
        more = [f"  and {len(lines) - _NAMED} more"] if len(lines) > _NAMED else []
        raise DataError(
            "\n".join(
                [
                    f"{table.path}: {len(lines)} keys occur in more than one row, but a key must identify one sample "
                    "(dataset.options.duplicate_keys: first would keep the first row of each):",
                    *lines[:_NAMED],
                    *more,
                ]
            )
        )
    return doubles
