"""Numbers as people write them: `1,234.5`, `70,5`, `45%`, `$3`, `12 kg`, `?` for a hole, `yes` and `no`.

What a cell may look like is said by settings, never guessed: `1,234` is 1234 or 1.234. `umemma init` looks at the whole
column and writes the settings down.
"""

import re
from collections.abc import Sequence
from functools import cached_property
from typing import Literal

from pydantic import Field

from umemma.settings import Section
from umemma.sources.tables.cells import number, shown

_LONGEST = 200
BLANKS = " \u00a0\u2009\u202f"  # also those that do not break, which French and SI write between thousands


class Number(Section):
    """How the numbers of a column are written; a cell that is none of them is an error of its row."""

    type: Literal["number"] = "number"
    decimal: Literal[".", ","] = "."
    """The decimal mark."""
    thousands: Literal["", ",", ".", " ", "'"] = ""
    """What stands between groups of digits; a blank stands for every kind of blank."""
    units: dict[str, float] = Field(default_factory=dict)
    """Units before or after a number and what they are worth: {kg: 1, g: 0.001}, {"%": 1}."""
    words: dict[str, float] = Field(default_factory=dict)
    """Words that stand for a number, in any case: {yes: 1, no: 0}."""
    missing: Sequence[str] = ()
    """Words for a hole, in any case, besides those of the whole table."""
    unreadable: Literal["reject", "missing"] = "reject"
    """What a cell that is no number means: its row cannot be used, or nothing was measured."""

    @property
    def names(self) -> tuple[str, ...]:
        """What the numbers that a cell becomes are called after the column's name: one, without a name."""
        return ("",)

    @property
    def is_plain(self) -> bool:
        """Whether the cells are numbers as Python writes them."""
        return self.decimal == "." and not (self.thousands or self.units or self.words)

    def __call__(self, cell: object) -> Sequence[float]:
        """Return the number in a cell. Raises ValueError if it is none."""
        if not isinstance(cell, str):
            return (number(cell),)
        if self.is_plain and cell.strip()[:1] not in ("\u2212", "("):
            return (number(cell),)
        if len(cell) > _LONGEST:  # the search for a unit takes the square of it
            raise ValueError(f"{shown(cell)} is no number")
        written = cell.strip().casefold()
        if written in self._words:
            return (self._words[written],)
        amount, worth = self._without_unit(cell.strip())
        if not self._digits.fullmatch(amount):
            raise ValueError(f"{shown(cell)} is no number")
        sign = -1 if amount[0] in "-\u2212(" else 1
        digits = amount.strip("+-\u2212() ")
        for mark in BLANKS if self.thousands == " " else self.thousands:
            digits = digits.replace(mark, "")
        return (sign * worth * number(digits.replace(self.decimal, ".")),)

    def _without_unit(self, written: str) -> tuple[str, float]:
        if not (found := self._units and self._with_unit.fullmatch(written)):
            return written, 1.0
        sign, before, amount, after = found.groups()
        unit = before or after or ""
        worth = self.units[unit] if unit in self.units else self._worth.get(unit.casefold(), 1.0)
        return sign + amount, worth

    @cached_property
    def _words(self) -> dict[str, float]:
        return {word.casefold(): value for word, value in self.words.items()}

    @cached_property
    def _worth(self) -> dict[str, float]:
        return {unit.casefold(): value for unit, value in self.units.items()}

    @cached_property
    def _units(self) -> str:
        return "|".join(map(re.escape, sorted(self.units, key=len, reverse=True)))

    @cached_property
    def _with_unit(self) -> re.Pattern[str]:
        return re.compile(
            rf"([+\-\u2212]?)\s*({self._units})?\s*([+\-\u2212(]?\s*[\d.,].*?)\s*({self._units})?", re.IGNORECASE
        )

    @cached_property
    def _digits(self) -> re.Pattern[str]:
        group = f"[{BLANKS}]" if self.thousands == " " else re.escape(self.thousands)
        whole = rf"\d{{1,3}}(?:{group}\d{{2,3}})*{group}\d{{3}}|\d+" if group else r"\d+"
        decimal = re.escape(self.decimal)
        amount = rf"(?:(?:{whole})(?:{decimal}\d*)?|{decimal}\d+)(?:[eE][+-]?\d+)?"
        return re.compile(rf"[+\-\u2212]?\s*{amount}|\({amount}\)")
