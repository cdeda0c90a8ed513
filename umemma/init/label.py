"""Guesses for `umemma init`: which column is the label, and which of its spellings are classes.

A column of numbers that are no classes - a score, an axis called y - is never guessed, and named where the user asks
for it. Spellings of one class, and words that may mean a hole, are said with the option that decides about them.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from umemma.errors import DataError, ParameterError, some
from umemma.init.columns import Column
from umemma.init.telling import SURE, tells
from umemma.sources.tables.cells import MISSING, is_missing, items, one_hot, text, words_for_holes, yes_or_no
from umemma.sources.tables.spelling import plain, variants

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
    "dx",
    "species",
    "outcome",
    "activity",
)
SEPARATORS = ("|", ";", ",")
MOST_CLASSES = 1000
_MANY_NUMBERS = 20  # different numbers with a decimal point: no classes but a quantity
_SURE_HOLES = {"nan", "null", "<na>"}  # as programs write them; none and NA may be classes
_MARKS = {"?", "-", "--", "\\n", "unknown?"}  # what people write for a hole and never call a class


@dataclass(frozen=True)
class Label:
    """The label column or columns, and their classes in sorted order (whole numbers by value).

    `counts`: rows of each class. `targets`: {"": the label of each row} or, of several labels a row, {class: whether it
    applies}; None where a row has none. `options` are those of the adapter, `said` sentences: (guess, how to undo it).
    """

    columns: str | list[str]
    task: Literal["single_label", "multi_label"]
    classes: tuple[str, ...]
    counts: Mapping[str, int]
    targets: Mapping[str, Sequence[object]]
    options: Mapping[str, object] = field(default_factory=dict)
    said: Sequence[str] = ()

    @property
    def names(self) -> list[str]:
        """The columns as a list."""
        return [self.columns] if isinstance(self.columns, str) else self.columns

    def without(self, rare: Collection[str], other: str | None) -> "Label":
        """Return the label with rare classes left out, or merged into the class `other`."""
        counts = Counter({name: count for name, count in self.counts.items() if name not in rare})
        if other is not None:
            counts[other] += sum(self.counts[name] for name in rare)
        written = dict(self.options.get("relabel") or {}) | dict.fromkeys(sorted(rare), other)  # type: ignore[call-overload]
        return replace(self, classes=_sorted(counts), counts=counts, options={**self.options, "relabel": written})


def given(
    columns: Mapping[str, Column], cells: Mapping[str, Sequence[object]], names: Sequence[str], asked: "Asked"
) -> Label:
    """Return the label that the user has named. Raises DataError or ParameterError if it is none."""
    chosen = [columns[name] for name in names]
    return _flags(chosen) if len(chosen) > 1 else _single(chosen[0], cells, asked)


@dataclass(frozen=True)
class Asked:
    """What the user has said about the label's cells: `missing`, words for a hole; `spellings`, a level."""

    missing: Sequence[str] | None = None
    spellings: str | None = None


def guessed(
    columns: Mapping[str, Column], cells: Mapping[str, Sequence[object]], taken: Collection[str], asked: Asked
) -> tuple[Label, str]:
    """Return the label and the reason for it. Raises DataError if no column looks like a label."""
    free = [
        column
        for column in columns.values()
        if column.name not in taken
        and column.path_kind is None
        and (not column.are_number_lists or _rank(column, columns) is not None)
        and not (column.is_long_text and len(column.counts) > len(column.filled) / 2)
    ]
    called = sorted(
        (column for column in free if _rank(column, columns) is not None), key=lambda c: _rank(c, columns) or 0
    )
    reasons = {column.name: _no_label(column, cells, asked) for column in called}
    if fitting := [column for column in called if reasons[column.name] is None]:
        best = _in_words(fitting)
        return _single(best, cells, asked), f"called {best.name}"
    flags = [column for column in free if column.are_flags]
    if len(flags) > 1:
        return _flags(flags), "columns of 0 and 1"
    few = [
        column
        for column in free
        if not column.holds_lists
        and column.counts
        and 2 <= len(column.counts) <= len(column.filled) / 4
        and (column.are_whole or not column.are_numbers)
        and _no_label(column, cells, asked) is None
    ]
    if not few:
        raise DataError(
            f"none of the columns {some(columns, 20)} looks like a label; name it: --label COLUMN, or one "
            "column of 0 and 1 for each class: --label COLUMN COLUMN ..."
            + "".join(f"; {why}" for why in reasons.values() if why)
        )
    fewest, *others = sorted(few, key=lambda column: len(column.counts))
    label = _single(fewest, cells, asked)
    if others:
        doubt = (
            f"no column is called a label: {fewest.name} is taken, as it has the fewest different values; "
            f"{some(column.name for column in others)} would do as well: --label COLUMN"
        )
        label = replace(label, said=[doubt, *label.said])
    return label, "the column of the fewest different values"


def _rank(column: Column, columns: Mapping[str, Column]) -> int | None:
    """Return how much a column's name is that of a label, the lowest most; None if it is not.

    x, y and z are axes.
    """
    name = column.name.strip().casefold().replace(" ", "_").replace("-", "_")
    if name == "y" and {"x", "z"} <= {other.strip().casefold() for other in columns}:
        return None
    if name in LABELS:
        return LABELS.index(name)
    parts = name.split("_")
    if len(parts) > 1 and parts[-1] in LABELS and parts[-1] != "y":
        return len(LABELS) + LABELS.index(parts[-1])
    return None


def _in_words(fitting: Sequence[Column]) -> Column:
    """Return the best column, or the one that says the same in words."""
    best = fitting[0]
    if not best.are_numbers:
        return best
    for other in fitting[1:]:
        if not other.are_numbers and not other.holds_lists and tells(best.codes, other.codes) >= SURE:
            return other
    return best


def _no_label(column: Column, cells: Mapping[str, Sequence[object]], asked: Asked) -> str | None:
    """Return why a column cannot be the label, None if it can."""
    try:
        _single(column, cells, asked)
    except DataError as error:
        return str(error)
    return None


def _single(column: Column, cells: Mapping[str, Sequence[object]], asked: Asked) -> Label:
    """Return the label in one column. Raises DataError if it is none."""
    if (refusal := _regression(column)) is not None:
        raise DataError(refusal)
    if (label := _one_hot(column, cells[column.name])) is not None:
        return label
    separator = "|" if column.holds_lists else _separator(column)
    names, options, said = _names(column, cells, separator, asked)
    counts = Counter(name for row in names if row for name in set(row))
    if separator is not None and (empty := sum(row is None for row in names)):
        options["unlabelled"] = "reject"
        said.append(
            f"{empty} of {len(names)} rows name no class and are left out, as if nobody had looked; `unlabelled: none` in "
            "the file takes them for samples to which no class applies"
        )
    marks = [name for name in counts if name.casefold() in _MARKS]
    if marks:
        told = some(f"{name!r} ({counts.pop(name)} rows)" for name in marks)
        said.append(f"{told} taken for no label; the option relabel in the file says so")
        options["relabel"] = dict.fromkeys(marks)
    level, merged = _level(counts, asked.spellings)
    classes = variants(counts, level)
    if not 2 <= len(classes) <= MOST_CLASSES:
        raise DataError(
            f"column {column.name} holds {len(classes)} different labels in {len(column.filled)} rows; "
            f"2 to {MOST_CLASSES} make classes"
        )
    if level != "form":
        options["spellings"] = level
    class_of = {name: name_of_class for name_of_class, spelled in classes.items() for name in spelled}
    rows = [None if row is None else {class_of[name] for name in row if name in class_of} for row in names]
    totals = Counter(name for row in rows if row for name in row)
    if separator is None:
        targets: Mapping[str, Sequence[object]] = {"": [next(iter(row), None) if row else None for row in rows]}
    else:
        targets = {name: [None if row is None else name in row for row in rows] for name in totals}
    task: Literal["single_label", "multi_label"] = "single_label" if separator is None else "multi_label"
    return Label(column.name, task, _sorted(totals), totals, targets, options, [*merged, *said])


def _names(
    column: Column, cells: Mapping[str, Sequence[object]], separator: str | None, asked: Asked
) -> tuple[list[list[str] | None], dict[str, object], list[str]]:
    """Return the labels of every row as written, None where there is none; options, and what to say."""
    words, holes, said = _holes(column, cells, asked)
    options: dict[str, object] = {} if separator is None else {"separator": separator}
    if asked.missing is not None:
        options["missing"] = list(asked.missing)
    rows: list[list[str] | None] = []
    for cell in cells[column.name]:
        if is_missing(cell, holes) and not (isinstance(cell, str) and text(cell).casefold() in words):
            rows.append(None)
        else:
            rows.append([text(cell)] if separator is None else _items(column, cell, separator))
    return rows, options, said


def _items(column: Column, cell: object, separator: str) -> list[str]:
    try:
        return items(cell, separator)
    except ValueError as error:
        raise DataError(f"column {column.name}: {error}") from error


def _regression(column: Column) -> str | None:
    """Return what to say of a column of quantities; None for one of classes."""
    if not column.are_numbers or len(column.counts) <= _MANY_NUMBERS:
        return None
    if column.are_whole and len(column.counts) <= min(MOST_CLASSES, len(column.filled) / 4):
        return None
    return (
        f"column {column.name} holds {len(column.counts)} different numbers in {len(column.filled)} rows: to predict a "
        f"quantity is regression, and umemma classifies. Make classes of it in a new column, e.g. in pandas: "
        f"table['{column.name}_class'] = pandas.qcut(table['{column.name}'], 3, labels=['low', 'middle', 'high'])"
    )


def _one_hot(column: Column, cells: Sequence[object]) -> Label | None:
    """Return the label of cells such as [0, 1, 0], whose classes are called by their places; None for others."""
    flags = [one_hot(cell) if not is_missing(cell) else None for cell in cells]
    lengths = {len(row) for row in flags if row is not None}
    if not column.holds_lists or len(lengths) != 1 or sum(row is not None for row in flags) < len(column.filled):
        return None
    names = [f"class {place}" for place in range(next(iter(lengths)))]
    is_single = all(sum(row) == 1 for row in flags if row)
    totals = {name: sum(row[place] for row in flags if row) for place, name in enumerate(names)}
    return Label(
        column.name,
        "single_label" if is_single else "multi_label",
        tuple(names),
        totals,
        {"": [names[row.index(True)] if row else None for row in flags]}
        if is_single
        else {name: [None if row is None else row[place] for row in flags] for place, name in enumerate(names)},
        {"one_hot": True},
        ["its cells are lists of 0 and 1; give the classes their names, in this order, in `classes` of the file"],
    )


def _flags(chosen: Sequence[Column]) -> Label:
    """Return the label made of several columns of 0 and 1; single-label if every row has exactly one 1."""
    for column in chosen:
        if not column.are_flags:
            raise ParameterError(f"--label: each of several label columns must say 0 or 1, and {column.name} does not")
    applies = {column.name: [yes_or_no(cell) for cell in column.filled] for column in chosen}
    rows = list(zip(*applies.values(), strict=True))
    is_single = all(sum(row) == 1 for row in rows)
    counts = {name: sum(flags) for name, flags in applies.items()}
    names = list(applies)
    return Label(
        names,
        "single_label" if is_single else "multi_label",
        _sorted(counts),
        counts,
        {"": [names[row.index(True)] for row in rows]} if is_single else applies,
    )


def _holes(
    column: Column, cells: Mapping[str, Sequence[object]], asked: Asked
) -> tuple[set[str], frozenset[str], list[str]]:
    """Return the words for a hole that are classes here, those that mean a hole, and what to say about them.

    `none` and `NA` are classes unless other columns use the word, too: then it is how this table writes a hole.
    """
    holes = words_for_holes(asked.missing)
    words = Counter(
        text(cell) for cell in cells[column.name] if isinstance(cell, str) and cell.strip() and is_missing(cell)
    )
    classes, said = set(), []
    for word, count in words.items():
        folded = word.casefold()
        elsewhere = [name for name, other in cells.items() if name != column.name and word in set(map(str, other))]
        if asked.missing is not None:
            is_class = folded not in holes
        else:
            is_class = folded not in _SURE_HOLES and not elsewhere and folded in MISSING
        if is_class:
            classes.add(folded)
        if asked.missing is None:
            others = " ".join(other for other in MISSING if not is_class or other == folded)
            why = f", as in {some(elsewhere, 2)}" if elsewhere else ""
            said.append(
                f"{count} rows say {word!r}: taken for a class; --missing {others} would make it no label"
                if is_class
                else f"{count} rows say {word!r}: taken for no label{why}; --missing with other words would make it a class"
            )
    return classes, holes, said


def _level(counts: Mapping[str, int], asked: str | None) -> tuple[str, list[str]]:
    """Return which spellings are one class, and what to say where that merges or nearly merges any."""
    if asked is not None:
        return asked, []
    by_level = {level: variants(counts, level) for level in ("exact", "form", "case")}
    said = []
    for level, below in (("form", "exact"), ("case", "form")):
        merged = [names for names in by_level[level].values() if len({plain(name, below) for name in names}) > 1]
        if not merged:
            continue
        quoted = ascii if level == "form" else repr  # what looks the same is told apart by its escapes
        told = some((" = ".join(map(quoted, names)) for names in merged), 3)
        if len(by_level[level]) < 2 or (level == "case" and all(len(names[0]) == 1 for names in merged)):
            said.append(f"{told} are classes of their own; --spellings {level} makes one of each")
            return below, said
        said.append(f"{told}: one class each; --spellings {below} keeps them apart")
    return ("case" if len(by_level["case"]) < len(by_level["form"]) else "form"), said


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
