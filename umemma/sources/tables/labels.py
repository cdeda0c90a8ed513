"""Converts the label columns of a table to class indices.

- One column: a class, or with task `multi_label` several - joined by a separator, or a list.
- Several columns, each named after a class: 1 if the class applies, 0 if not.
- An unknown class is never added to `classes`: the row is rejected, with the reason.
- An empty cell in a single multi-label column may mean "none of the classes" or "not annotated". `unlabelled: reject`
  assumes the latter and rejects the row, `none` the former. Several columns of 0 are unambiguous and kept.
"""

from collections.abc import Collection, Sequence
from typing import Literal

from umemma.data.sample import BadSample
from umemma.errors import ParameterError, some, unknown
from umemma.sources.tables.cells import MISSING, is_missing, items, shown, text, yes_or_no

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
    ) -> None:
        if unlabelled not in UNLABELLED:
            raise ParameterError(unknown("dataset.options.unlabelled", "choice", unlabelled, UNLABELLED))
        if not isinstance(separator, str) or not separator:
            raise ParameterError(f"dataset.options.separator must be a text such as '|', not {separator!r}")
        self.columns = (label,) if isinstance(label, str) else tuple(label)
        self._index = {name: number for number, name in enumerate(classes)}
        self._is_multi = task == "multi_label"
        self._separator, self._unlabelled, self._missing = separator, unlabelled, frozenset(missing)
        self._one_column = isinstance(label, str)
        if not self._one_column and set(self.columns) != self._index.keys():
            extra, lacking = set(self.columns) - self._index.keys(), self._index.keys() - set(self.columns)
            raise ParameterError(
                "dataset.options.label must name one column for every class, called as the class; "
                f"no class: {some(sorted(extra)) or 'none'}; without a column: {some(sorted(lacking)) or 'none'}"
            )

    def __call__(self, cells: Sequence[object], place: str) -> Label:
        """Return a row's class, or all classes that apply, ascending. Raises BadSample with a reason."""
        indices = sorted(
            self._in_columns(cells, place)
            if not self._one_column
            else self._in_cell(cells[0], place)
            if self._is_multi
            else [self._one_class(cells[0], place)]
        )
        if self._is_multi:
            return tuple(indices)
        if len(indices) != 1:
            raise BadSample(place, f"no single label: {len(indices)} of the label columns are 1")
        return indices[0]

    def _one_class(self, cell: object, place: str) -> int:
        if is_missing(cell, self._missing) and not (cell is not None and text(cell) in self._index):
            raise BadSample(place, f"no label: {self.columns[0]} is empty")
        return self._known(text(cell), place)

    def _in_cell(self, cell: object, place: str) -> set[int]:
        if is_missing(cell, self._missing) and not (cell is not None and text(cell) in self._index):
            names = []
        else:
            names = items(cell, self._separator)
        if not names and self._unlabelled == "reject":
            raise BadSample(place, f"no label: {self.columns[0]} is empty (dataset.options.unlabelled)")
        return {self._known(name, place) for name in names}

    def _in_columns(self, cells: Sequence[object], place: str) -> set[int]:
        indices = set()
        for name, cell in zip(self.columns, cells, strict=True):
            if is_missing(cell, self._missing):
                raise BadSample(place, f"not known whether a class applies: {name} is empty")
            try:
                applies = yes_or_no(cell)
            except ValueError as error:
                raise BadSample(place, f"not known whether a class applies: in {name}, {error}") from error
            if applies:
                indices.add(self._index[name])
        return indices

    def _known(self, name: str, place: str) -> int:
        if name not in self._index:
            sentence = unknown(self.columns[0], "class", shown(name)[1:-1], self._index)
            raise BadSample(place, f"unknown label: {sentence}")
        return self._index[name]
