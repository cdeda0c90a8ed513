"""What the cells of a table column contain; `umemma init` guesses the column's role from it."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

import numpy as np

from umemma.sources.tables.cells import is_missing, number, structure, text, words_for_holes, yes_or_no
from umemma.sources.tables.members import embedded
from umemma.sources.tables.readings import NumberList
from umemma.sources.tables.sources import SUFFIXES
from umemma.sources.tables.templates import last_part

_SUFFIX_KINDS = {suffix: kind for kind, suffixes in SUFFIXES.items() for suffix in suffixes}
_OPENINGS = ("[", "{", "(", "array(", "tensor(", "np.array(", "torch.tensor(")
_MOST_JUDGED = 5000
_MOSTLY = 0.8  # minimum share of cells with a media suffix for a column to count as paths, or that are numbers
_MANY_NUMBERS = 8  # in one cell, from which on a text of numbers is a list of them
_LONG_WORDS, _LONG_CHARS = 4, 25  # averages above which text counts as sentences rather than names

_UNSPACED = re.compile(  # scripts without blanks between words; two letters count as a word
    "[\u0e00-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)


@dataclass(frozen=True)
class Column:
    """One column; `filled` are its non-missing cells, `present` says for each row whether the cell is non-missing."""

    name: str
    filled: Sequence[object]
    present: tuple[bool, ...]

    @cached_property
    def counts(self) -> Counter[str]:
        """Number of occurrences of each distinct cell, as text; empty for lists and files."""
        if self.holds_lists or self.holds_files:
            return Counter()
        names, places = self._distinct
        return Counter(dict(zip(names, np.bincount(places, minlength=len(names)).tolist(), strict=True)))

    @cached_property
    def codes(self) -> np.ndarray:
        """A number for each row, the same for equal cells as text, in the order of first occurrence; -1: missing."""
        result = np.full(len(self.present), -1)
        result[np.array(self.present)] = self._distinct[1]
        return result

    @cached_property
    def _distinct(self) -> tuple[list[str], np.ndarray]:
        """The distinct cells as text, and for each filled cell its place among them: judged once, not once a row."""
        places: dict[str, int] = {}
        cells = map(str.strip if self._are_texts else text, self.filled)  # type: ignore[arg-type]
        found = [places.setdefault(cell, len(places)) for cell in cells]
        return list(places), np.array(found, dtype=np.int64)

    @cached_property
    def _are_texts(self) -> bool:
        return self._types <= {str}

    @cached_property
    def _types(self) -> set[type]:
        return set(map(type, self.filled))

    @cached_property
    def _floats(self) -> np.ndarray | None:
        """The cells as numbers, None if one is not a finite number that float32 can hold."""
        if self.holds_lists or self.holds_files:
            return None
        cells, places = self._distinct if self._are_texts else (self.filled, None)
        try:
            values = np.array([float(cell) for cell in cells])  # type: ignore[arg-type]
        except (ValueError, TypeError, OverflowError):
            return None
        has_underscores = any("_" in cell for cell in cells if isinstance(cell, str))
        if has_underscores or not (np.abs(values) <= np.finfo(np.float32).max).all():
            return None
        return values if places is None else values[places]

    @cached_property
    def holds_lists(self) -> bool:
        """Whether cells are lists, native or written as text."""
        return any(issubclass(one, list | np.ndarray) for one in self._types) or self.holds_written_lists

    @cached_property
    def holds_written_lists(self) -> bool:
        """Whether every cell is a list or object that is written as text: `['a', 'b']`."""
        return bool(self.filled) and all(
            isinstance(cell, str) and _may_open(cell) and structure(cell) is not None for cell in self.filled
        )

    @cached_property
    def holds_files(self) -> bool:
        """Whether cells are files themselves: bytes, or {bytes, path}."""
        return any(issubclass(one, bytes | dict) for one in self._types) and all(
            embedded(cell) is not None or (isinstance(cell, dict) and cell.get("path")) for cell in self.filled
        )

    @cached_property
    def judged(self) -> Sequence[object]:
        """Evenly spaced cells, enough to tell shares and averages."""
        return self.filled[:: -(-len(self.filled) // _MOST_JUDGED) or 1]

    @cached_property
    def path_kind(self) -> str | None:
        """The kind of media file that the cells name, or None if they name none; `vector` for .npy."""
        if self.holds_lists or not self._are_texts or not self.filled or self.are_numbers:
            return None
        kinds = Counter(_SUFFIX_KINDS.get(suffix) for suffix in self.suffixes.elements())
        kind, count = kinds.most_common(1)[0] if kinds else (None, 0)
        return kind if count >= _MOSTLY * len(self.judged) else None

    @cached_property
    def suffixes(self) -> Counter[str]:
        """Suffixes of the files that the `judged` cells may name, in lower case; '' for a cell without one."""
        return Counter(
            PurePosixPath(last_part(str(cell))).suffix.lower().removeprefix(".")
            for cell in self.judged
            if isinstance(cell, str) and len(cell) < 1000 and "\n" not in cell.strip()
        )

    @cached_property
    def are_numbers(self) -> bool:
        """Whether every cell is a single finite number."""
        return bool(self.filled) and self._floats is not None

    @cached_property
    def are_mostly_numbers(self) -> bool:
        """Whether nearly every cell is a number: the others are how somebody wrote a hole, `?` or `<5`."""
        if self.are_numbers or self.holds_lists or self.holds_files:
            return self.are_numbers
        return sum(_is_number(cell) for cell in self.judged) > _MOSTLY * len(self.judged)

    @cached_property
    def are_whole(self) -> bool:
        """Whether every cell is a whole number."""
        return self.are_numbers and self._floats is not None and bool((self._floats % 1 == 0).all())

    @cached_property
    def counts_rows(self) -> bool:
        """Whether the cells count the rows: whole numbers that rise or fall, or of which few are left out, each once."""
        if not self.are_whole or self._floats is None or not self.is_complete or not self.is_unique:
            return False
        steps, span = np.diff(self._floats), np.ptp(self._floats)
        return bool((steps > 0).all() or (steps < 0).all() or span < 2 * len(self.filled))

    @cached_property
    def are_flags(self) -> bool:
        """Whether every row is 0 or 1, with both values occurring."""
        return self.is_complete and bool(self.filled) and set(map(_flag, self.counts)) == {False, True}

    @cached_property
    def are_number_lists(self) -> bool:
        """Whether every cell is a list of numbers - an embedding, pixels - native or written as text."""
        return bool(self.filled) and all(map(_is_number_list, self.filled))

    @cached_property
    def list_shapes(self) -> Counter[tuple[int, ...]]:
        """Shapes of the lists of numbers."""
        return Counter(NumberList()(cell).shape for cell in self.filled)

    @cached_property
    def is_long_text(self) -> bool:
        """Whether the cells are sentences rather than names."""
        if self.holds_lists or self.holds_files or self.are_numbers or not self.filled:
            return False
        lengths = [(_num_words(str(cell)), len(str(cell))) for cell in self.judged]
        words, chars = (sum(column) / len(lengths) for column in zip(*lengths, strict=True))
        return words >= _LONG_WORDS or (chars >= _LONG_CHARS and words >= 2)

    def cell(self, row: int) -> object | None:
        """Return the cell of a row; None if it is missing."""
        place = self._places[row]
        return self.filled[place - 1] if self.present[row] else None

    @cached_property
    def _places(self) -> list[int]:
        return np.cumsum(self.present).tolist()

    @cached_property
    def is_complete(self) -> bool:
        """Whether no cell is empty."""
        return all(self.present)

    @cached_property
    def is_unique(self) -> bool:
        """Whether all cells are distinct."""
        return bool(self.counts) and len(self.counts) == len(self.filled)


def column(name: str, cells: Sequence[object], missing: Sequence[str] | None = None) -> Column:
    """Describe a column by its cells; `missing`: the words that mean an empty one, by default `MISSING`."""
    words = words_for_holes(missing)
    distinct = set(cells) if set(map(type, cells)) <= {str} else None  # hashed once, read once
    if distinct is None:
        present = tuple(not is_missing(cell, words) for cell in cells)
    elif holes := {cell for cell in distinct if is_missing(cell, words)}:
        present = tuple(cell not in holes for cell in cells)
    else:
        return Column(name, cells, (True,) * len(cells))
    return Column(name, [cell for cell, is_present in zip(cells, present, strict=True) if is_present], present)


def _may_open(cell: str) -> bool:
    return cell.lstrip().startswith(_OPENINGS)


def _num_words(cell: str) -> int:
    unspaced = len(_UNSPACED.findall(cell))
    return len(_UNSPACED.sub(" ", cell).split()) + unspaced // 2 if unspaced else len(cell.split())


def _is_number_list(cell: object) -> bool:
    if isinstance(cell, str) and not _may_open(cell):
        parts = cell.replace(",", " ").replace(";", " ").split()
        return len(parts) >= _MANY_NUMBERS and all(map(_is_number, parts))
    try:
        return isinstance(cell, list | np.ndarray | str) and NumberList()(cell).size > 0
    except ValueError:
        return False


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
