"""What the cells of a table column contain; `umemma init` guesses the column's role from it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

import numpy as np

from umemma.sources.tables.cells import is_missing, number, text, yes_or_no
from umemma.sources.tables.sources import SUFFIXES

_SUFFIX_KINDS = {suffix: kind for kind, suffixes in SUFFIXES.items() for suffix in suffixes}
_MOSTLY = 0.8  # minimum share of cells with a media suffix for a column to count as paths
_LONG_WORDS, _LONG_CHARS = 4, 25  # averages above which text counts as sentences rather than names


@dataclass(frozen=True)
class Column:
    """One column; `filled` are its non-missing cells, `present` says for each row whether the cell is non-missing."""

    name: str
    filled: Sequence[object]
    present: tuple[bool, ...]

    @cached_property
    def counts(self) -> Counter[str]:
        """Number of occurrences of each distinct cell, as text; empty for lists."""
        return Counter() if self.holds_lists else Counter(map(text, self.filled))

    @cached_property
    def holds_lists(self) -> bool:
        """Whether any cell is a list."""
        return any(isinstance(cell, list | np.ndarray) for cell in self.filled)

    @cached_property
    def path_kind(self) -> str | None:
        """The kind of media file that the cells name, or None if they name none; `vector` for .npy."""
        if self.holds_lists or not self.filled or not all(isinstance(cell, str) for cell in self.filled):
            return None
        kinds = Counter(
            _SUFFIX_KINDS.get(PurePosixPath(text(cell)).suffix.lower().removeprefix("."))
            for cell in self.filled
            if len(str(cell)) < 1000 and "\n" not in str(cell)
        )
        kind, count = kinds.most_common(1)[0] if kinds else (None, 0)
        return kind if count >= _MOSTLY * len(self.filled) else None

    @cached_property
    def are_numbers(self) -> bool:
        """Whether every cell is a single finite number."""
        return bool(self.filled) and all(_is_number(cell) for cell in self.filled)

    @cached_property
    def are_whole(self) -> bool:
        """Whether every cell is a whole number."""
        return self.are_numbers and all(number(cell).is_integer() for cell in self.filled)

    @cached_property
    def are_flags(self) -> bool:
        """Whether every row is 0 or 1, with both values occurring."""
        return self.is_complete and bool(self.filled) and {_flag(cell) for cell in self.filled} == {False, True}

    @cached_property
    def are_number_lists(self) -> bool:
        """Whether every cell is a list of numbers: an embedding."""
        return bool(self.filled) and all(
            isinstance(cell, list | np.ndarray) and all(map(_is_number, cell)) for cell in self.filled
        )

    @cached_property
    def is_long_text(self) -> bool:
        """Whether the cells are sentences rather than names."""
        if self.holds_lists or self.are_numbers or not self.filled:
            return False
        lengths = [(len(str(cell).split()), len(str(cell))) for cell in self.filled]
        words, chars = (sum(column) / len(lengths) for column in zip(*lengths, strict=True))
        return words >= _LONG_WORDS or (chars >= _LONG_CHARS and words >= 2)

    @property
    def is_complete(self) -> bool:
        """Whether no cell is empty."""
        return all(self.present)

    @property
    def is_unique(self) -> bool:
        """Whether all cells are distinct."""
        return not self.holds_lists and len(self.counts) == len(self.filled)


def column(name: str, cells: Sequence[object]) -> Column:
    """Describe a column by its cells."""
    present = tuple(not is_missing(cell) for cell in cells)
    return Column(name, [cell for cell, is_present in zip(cells, present, strict=True) if is_present], present)


def _flag(cell: object) -> bool | None:
    try:
        return None if isinstance(cell, list | np.ndarray) else yes_or_no(cell)
    except ValueError:
        return None


def _is_number(cell: object) -> bool:
    if isinstance(cell, list | np.ndarray):
        return False
    try:
        number(cell)
    except ValueError:
        return False
    return True
