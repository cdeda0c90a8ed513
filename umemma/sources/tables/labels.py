"""Converts the label columns of a table to class indices.

- One column: a class, or with task `multi_label` several - joined by a separator, or a list, also one written as text.
  With `one_hot` a cell is a list of 0 and 1 in the order of `classes`.
- Several columns, each named after a class: 1 if the class applies, 0 if not.
- An unknown class is never added to `classes`: the row is rejected, with the reason. `relabel` maps a class as written
  to another, or to null: then it is left out, and a row that has nothing else, too.
- An empty cell in a single multi-label column may mean "none of the classes" or "not annotated". `unlabelled: reject`
  assumes the latter and rejects the row, `none` the former. Several columns of 0 are unambiguous and kept.

A row without a label, or whose class is left out, is not damaged (`is_damage`): most tables have such rows.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Literal

from umemma.data.sample import BadSample
from umemma.errors import ParameterError, some, unknown
from umemma.sources.tables.cells import MISSING, is_missing, items, one_hot, shown, text, yes_or_no
from umemma.sources.tables.spelling import LEVELS, plain

Label = int | tuple[int, ...]
UNLABELLED = ("reject", "none")


class Labels:
    """Converts a row's label cells, in the order of `columns`, to a label."""

    def __init__(
        self,
        label: str | Sequence[str],
        classes: Sequence[str],
        task: Literal["single_label", "multi_label"],
        *,
        separator: str = "|",
        unlabelled: str = "reject",
        missing: Collection[str] = MISSING,
        spellings: str = "form",
        relabel: Mapping[str, str | None] | None = None,
        is_one_hot: bool = False,
    ) -> None:
        if unlabelled not in UNLABELLED:
            raise ParameterError(unknown("dataset.options.unlabelled", "choice", unlabelled, UNLABELLED))
        if spellings not in LEVELS:
            raise ParameterError(unknown("dataset.options.spellings", "choice", spellings, LEVELS))
        if not isinstance(separator, str) or not separator:
            raise ParameterError(f"dataset.options.separator must be a text such as '|', not {separator!r}")
        self.columns = (label,) if isinstance(label, str) else tuple(label)
        self._classes = tuple(classes)
        self._level, self._is_one_hot = spellings, is_one_hot
        self._index = self._indices(classes)
        self._others = self._relabelled(relabel or {})
        self._is_multi = task == "multi_label"
        self._separator, self._unlabelled, self._missing = separator, unlabelled, frozenset(missing)
        self._one_column = isinstance(label, str)
        if not self._one_column and set(self.columns) != set(classes):
            extra, lacking = set(self.columns) - set(classes), set(classes) - set(self.columns)
            raise ParameterError(
                "dataset.options.label must name one column for every class, called as the class; "
                f"no class: {some(sorted(extra)) or 'none'}; without a column: {some(sorted(lacking)) or 'none'}"
            )

    def __call__(self, cells: Sequence[object], place: str) -> Label:
        """Return a row's class, or all classes that apply, ascending. Raises BadSample with a reason."""
        indices = sorted(
            self._in_columns(cells, place)
            if not self._one_column
            else self._in_list(cells[0], place)
            if self._is_one_hot
            else self._in_cell(cells[0], place)
            if self._is_multi
            else self._known([text(cells[0])] if self._is_label(cells[0]) else [], place)
        )
        if self._is_multi:
            return tuple(indices)
        if len(indices) != 1:
            where = "label columns" if not self._one_column else "classes in its list"
            raise BadSample(place, f"no single label: {len(indices)} of the {where} are 1")
        return indices[0]

    def _indices(self, classes: Sequence[str]) -> dict[str, int]:
        indices: dict[str, int] = {}
        for number, name in enumerate(classes):
            if (other := indices.setdefault(plain(name, self._level), number)) != number:
                raise ParameterError(
                    f"dataset.classes: {classes[other]!r} and {name!r} are one class where dataset.options.spellings is "
                    f"{self._level}; `spellings: {LEVELS[LEVELS.index(self._level) - 1]}` keeps them apart"
                )
        return indices

    def _relabelled(self, relabel: Mapping[str, str | None]) -> dict[str, int | None]:
        others: dict[str, int | None] = {}
        for written, name in relabel.items():
            if name is not None and plain(str(name), self._level) not in self._index:
                raise ParameterError(unknown(f"dataset.options.relabel.{written}", "class", name, self._classes))
            others[plain(str(written), self._level)] = (
                None if name is None else self._index[plain(str(name), self._level)]
            )
        return others

    def _is_label(self, cell: object) -> bool:
        """Whether a cell holds a label; what looks like a hole but is a class is one."""
        if not is_missing(cell, self._missing):
            return True
        return cell is not None and plain(text(cell), self._level) in (self._index | self._others)

    def _in_cell(self, cell: object, place: str) -> Iterable[int]:
        try:
            names = items(cell, self._separator) if self._is_label(cell) else []
        except ValueError as error:
            raise BadSample(place, f"unknown label: in {self.columns[0]}, {error}") from error
        return [] if not names and self._unlabelled == "none" else self._known(names, place)

    def _in_list(self, cell: object, place: str) -> Iterable[int]:
        flags = one_hot(cell) if self._is_label(cell) else []
        if flags is None or len(flags) not in (0, len(self._classes)):
            raise BadSample(
                place,
                f"unknown label: {shown(cell)} is no list of {len(self._classes)} times 0 or 1, one for each class",
            )
        if not flags:
            return self._known([], place)
        return [number for number, applies in enumerate(flags) if applies]

    def _in_columns(self, cells: Sequence[object], place: str) -> Iterable[int]:
        indices = set()
        for name, cell in zip(self.columns, cells, strict=True):
            if is_missing(cell, self._missing):
                raise BadSample(
                    place, f"no label: whether a class applies is not known, {name} is empty", is_damage=False
                )
            try:
                applies = yes_or_no(cell)
            except ValueError as error:
                raise BadSample(place, f"not known whether a class applies: in {name}, {error}") from error
            if applies:
                indices.add(self._classes.index(name))
        return indices

    def _known(self, names: Sequence[str], place: str) -> set[int]:
        """Return the classes that are called so, without those that `relabel` leaves out."""
        if not names:
            raise BadSample(
                place, f"no label: {self.columns[0]} is empty (dataset.options.unlabelled)", is_damage=False
            )
        indices = set()
        for name in names:
            plainly = plain(name, self._level)
            index = self._others[plainly] if plainly in self._others else self._index.get(plainly, -1)
            if index == -1:
                sentence = unknown(self.columns[0], "class", shown(name)[1:-1], self._classes)
                raise BadSample(place, f"unknown label: {sentence}")
            if index is not None:
                indices.add(index)
        if not indices:
            raise BadSample(place, f"class left out: {some(names)} (dataset.options.relabel)", is_damage=False)
        return indices
