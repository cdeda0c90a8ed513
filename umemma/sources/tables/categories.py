"""Words of a few kinds as numbers: one for each word, and a last one, `other`, for a word that is not listed.

A word that comes up later - in new data, or because it was too rare to be listed - is `other`, and its row stays.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, Literal

from pydantic import Field

from umemma.settings import Section
from umemma.sources.tables.cells import text

OTHER = "other"


class Category(Section):
    """The words of a column, in the order of their numbers."""

    type: Literal["category"] = "category"
    words: Annotated[Sequence[str], Field(min_length=1)]
    """The words, compared in any case unless two differ in nothing else."""
    missing: Sequence[str] = ()
    """Words for a hole, in any case, besides those of the whole table."""

    @property
    def names(self) -> tuple[str, ...]:
        """What the numbers that a cell becomes are called after the column's name."""
        return (*self.words, OTHER)

    def __call__(self, cell: object) -> Sequence[float]:
        """Return 1 for the word in a cell, 0 for the others."""
        numbers = [0.0] * (len(self.words) + 1)
        numbers[self.position(cell)] = 1.0
        return numbers

    def position(self, cell: object) -> int:
        """Return the position of a cell's word; that after the last is `other`."""
        word = text(cell)
        return self._exact[word] if word in self._exact else self._any_case.get(word.casefold(), len(self.words))

    @cached_property
    def _exact(self) -> dict[str, int]:
        return {word: position for position, word in enumerate(self.words)}

    @cached_property
    def _any_case(self) -> dict[str, int]:
        folded = [word.casefold() for word in self.words]
        return {word: position for position, word in enumerate(folded) if folded.count(word) == 1}
