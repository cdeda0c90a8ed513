"""Guesses for `umemma init`: how the single values of a column are written - as numbers, times, or words of a few kinds.

- Numbers: nearly all cells are numbers once marks between thousands, a decimal comma, a unit, words for a hole and for
  yes and no are understood. The rest is named and counts as not measured.
- Times: nearly all cells are times of one form. Of a day and a month that could be exchanged it is said.
- Words: each of a few words stands in many rows. Rare ones are `other`.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, timedelta

from umemma.errors import some
from umemma.init.columns import Column
from umemma.sources.tables.cells import number, shown, text
from umemma.sources.tables.numbers import BLANKS, Number
from umemma.sources.tables.times import UNITS, read

HOLES = (
    "?",
    "\\n",
    "-",
    "--",
    "---",
    ".",
    "..",
    "\u2013",
    "\u2014",
    "#n/a",
    "#na",
    "#null!",
    "#value!",
    "#div/0!",
    "n.a.",
    "nil",
)
HOLE_WORDS = ("missing", "unknown", "not available", "not measured", "n.d.", "nd", "not applicable", "not specified")
_YES_NO = ({"true": 1, "false": 0}, {"yes": 1, "no": 0}, {"y": 1, "n": 0}, {"t": 1, "f": 0}, {"on": 1, "off": 0})
_SCALES = {"k": 1e3, "m": 1e6, "mio": 1e6, "b": 1e9, "bn": 1e9}
_MOSTLY = 0.9  # minimum share of cells that can be read
_FEW_ROWS_A_WORD, _MOST_WORDS, _LEAST_COUNT = 10, 100, 5
_BLANK = f"[{BLANKS}]"
_CURRENCY = r"[A-Z]{0,3}[$€£¥₹₽₩₺₪฿]|US\$|(?:USD|EUR|GBP|CHF|JPY|CNY|INR|RUB|BRL|CAD|AUD|SEK|NOK|DKK|PLN)"
_DIGITS = rf"\d+(?:(?:[.,']|{_BLANK})\d+)*(?:[.,])?|[.,]\d+"
_AMOUNT = re.compile(
    rf"(?P<sign>[+\-\u2212]?){_BLANK}*(?P<before>{_CURRENCY})?{_BLANK}*[+\-\u2212]?(?P<open>\(?)(?P<digits>{_DIGITS})"
    rf"(?P<power>[eE][+-]?\d+)?\)?{_BLANK}*(?P<after>[^\s\d.,()][^\d,()]{{0,11}})?"
)
_GROUPED = {mark: re.compile(rf"\d{{1,3}}(?:{re.escape(mark)}\d{{2,3}})*{re.escape(mark)}\d{{3}}") for mark in ",.'"}
_GROUPED[" "] = re.compile(rf"\d{{1,3}}(?:{_BLANK}\d{{3}})+")
_DAYS: tuple[str, ...] = (
    "%Y/%m/%d",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d.%m.%Y",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%d.%m.%y",
    "%d/%m/%y",
    "%m/%d/%y",
    "%Y.%m.%d",
)
_DAYS += (
    "%d %b %Y",
    "%d %B %Y",
    "%b %d, %Y",
    "%B %d, %Y",
    "%b %d %Y",
    "%B %d %Y",
    "%d-%b-%Y",
    "%d-%b-%y",
    "%d%b%Y",
    "%Y-%m",
)
_CLOCKS = (
    "",
    " %H:%M",
    " %H:%M:%S",
    " %H:%M:%S.%f",
    " %I:%M %p",
    " %I:%M:%S %p",
    ", %H:%M",
    ", %H:%M:%S",
    ", %I:%M %p",
)
_FORMS: tuple[str, ...] = ("iso", *(day + clock for clock in _CLOCKS for day in _DAYS))
_FORMS += ("%a %b %d %H:%M:%S %z %Y", "%a, %d %b %Y %H:%M:%S %z", "%a %b %d %H:%M:%S %Y", "%Y-%m-%d %H:%M:%S %Z")
_FORMS += ("%H:%M", "%I:%M %p", "%I:%M:%S %p")
_TIME_NAMES = re.compile(
    r"(?:^|[_\W])(?:time|timestamp|date|datetime|epoch|ts|created|updated|at|day|dob)(?:$|[_\W])", re.IGNORECASE
)
_SHORTENED = re.compile(r"^\[.*\s\.\.\.\s.*\]$", re.DOTALL)
_JUDGED = 2000  # on which forms that fit those are compared
_TRIED = 40  # distinct cells on which a form of time is tried before all are


@dataclass
class Guess:
    """An entry of `dataset.options.columns`, empty where cells are numbers as Python writes them; sentences about it."""

    entry: dict[str, object]
    said: list[str] = field(default_factory=list)


def guess(column: Column, *, has_decimal_commas: bool) -> Guess | str:
    """Return how a column of single values is read, or why it cannot be.

    `has_decimal_commas`: whether another column of the table certainly writes 1,5 for one and a half.
    """
    if column.are_numbers and not (has_decimal_commas and _dots_group(column)):
        epoch = _epoch(column)
        return epoch or Guess({})
    numbers = _numbers(column, has_decimal_commas)
    if isinstance(numbers, Guess):
        return numbers
    return _yes_no(column) or _times(column) or _words(column) or numbers or _why(column)


def _dots_group(column: Column) -> bool:
    """Whether dots can stand between thousands only: every number with a dot has three digits behind it."""
    dotted = [cell for cell in column.counts if "." in cell]
    return bool(dotted) and all(_GROUPED["."].fullmatch(cell) and cell[0] != "0" for cell in dotted)


def is_shortened(column: Column) -> bool:
    """Whether cells are arrays that NumPy printed with `...` in place of most numbers."""
    return bool(column.filled) and all(isinstance(cell, str) and _SHORTENED.search(cell) for cell in column.filled)


def writes_decimal_commas(column: Column) -> bool:
    """Whether a column certainly has decimal commas, as in 70,5."""
    if column.holds_lists or column.holds_files or column.are_numbers:
        return False
    amounts = [found["digits"] for cell in column.counts if (found := _AMOUNT.fullmatch(cell))]
    return len(amounts) >= _MOSTLY * len(column.counts) and _Marks.of(Counter(amounts)).commas_are_decimal


@dataclass(frozen=True)
class _Marks:
    """What commas, dots and blanks in a column's numbers can mean."""

    commas_are_decimal: bool
    commas_group: bool
    dots_group: bool
    other: str

    @classmethod
    def of(cls, amounts: Mapping[str, int]) -> "_Marks":
        commas = [amount for amount in amounts if "," in amount]
        dots = [amount for amount in amounts if "." in amount]

        def decimal(mark: str, rival: str, among: Sequence[str]) -> bool:
            """Whether the mark is certainly a decimal one somewhere: once, last, and not before three digits alone."""
            return any(
                amount.count(mark) == 1
                and amount.rfind(mark) > amount.rfind(rival)
                and (rival in amount or not _GROUPED[mark].fullmatch(amount) or amount.startswith("0"))
                for amount in among
            )

        def group(mark: str, rival: str, among: Sequence[str]) -> bool:
            wholes = [
                amount[: amount.rfind(rival)] if rival in amount[amount.rfind(mark) :] else amount for amount in among
            ]
            return bool(wholes) and all(_GROUPED[mark].fullmatch(whole) for whole in wholes)

        is_decimal = decimal(",", ".", commas)
        return cls(
            commas_are_decimal=is_decimal,
            commas_group=not is_decimal and group(",", ".", commas),
            dots_group=not decimal(".", ",", dots) and group(".", ",", dots),
            other=next(
                (mark for mark in ("'", " ") if any(re.search(_BLANK if mark == " " else mark, a) for a in amounts)), ""
            ),
        )


def _numbers(column: Column, has_decimal_commas: bool) -> Guess | str | None:
    """Return how a column's numbers are written, why they cannot be read, or None if it holds none to speak of."""
    amounts: dict[str, re.Match[str]] = {cell: found for cell in column.counts if (found := _AMOUNT.fullmatch(cell))}
    holes = [cell for cell in column.counts if cell.casefold() in HOLES]
    rest = sum(column.counts[cell] for cell in column.counts if cell not in amounts and cell.casefold() not in HOLES)
    read_share = 1 - rest / max(1, sum(column.counts.values()) - sum(column.counts[cell] for cell in holes))
    if len(amounts) < 2 or read_share < 0.5:
        return None
    units = Counter[str]()
    for cell, found in amounts.items():
        if unit := (found["before"] or found["after"] or "").strip():
            units[unit] += column.counts[cell]
    worth = _worth(units)
    if worth is None:
        named = ", ".join(f"{unit} ({count})" for unit, count in units.most_common(4))
        return (
            f"numbers in different units: {named}; options.columns can say what each is worth: "
            f"{{{column.name}: {{type: number, units: {{{next(iter(units))}: 1, ...}}}}}}"
        )
    entry, said = _entry(
        column, {found["digits"]: column.counts[cell] for cell, found in amounts.items()}, has_decimal_commas
    )
    if worth:
        entry["units"] = worth
    if holes:
        entry["missing"] = holes
        said.append(f"{some(_counted(column, holes))} {'is' if len(holes) == 1 else 'are'} taken for holes")
    return _checked(column, entry, said, frozenset(cell.casefold() for cell in holes))


def _checked(column: Column, entry: dict[str, object], said: list[str], holes: frozenset[str]) -> Guess | str | None:
    """Read all cells as the entry says; name those that cannot be read."""
    reading = Number(**{"type": "number"} | entry)  # type: ignore[arg-type]
    words = {word: column.counts[word] for word in column.counts if word.casefold() in HOLE_WORDS}
    unread = []
    for cell in column.counts:
        if cell.casefold() not in holes:
            try:
                reading(cell)
            except ValueError:
                unread.append(cell)
    total = sum(column.counts.values()) - sum(
        count for word, count in column.counts.items() if word.casefold() in holes
    )
    num_unread = sum(column.counts[cell] for cell in unread)
    share = f"{num_unread / max(1, total):.1%}"
    if num_unread > total / 2:
        return None
    if num_unread > (1 - _MOSTLY) * total:
        return (
            f"{1 - num_unread / total:.0%} of its cells are numbers, the others say {some(_counted(column, unread), 3)}"
        )
    if unread and set(unread) == set(words):
        entry["missing"] = [*sorted(holes), *unread]
        said.append(f"{some(_counted(column, unread))} are taken for holes")
    elif unread:
        entry["unreadable"] = "missing"
        said.append(
            f"{num_unread} of {total} cells ({share}) are no numbers: {some(_counted(column, unread), 5)}; they count as not "
            "measured (unreadable: missing), reject leaves their rows out"
        )
    return Guess({"type": "number"} | entry, said)


def _entry(column: Column, amounts: Mapping[str, int], has_decimal_commas: bool) -> tuple[dict[str, object], list[str]]:
    """Return the marks of a column's numbers as settings, and what is uncertain about them."""
    marks, entry, said = _Marks.of(amounts), {}, []
    example = next((amount for amount in amounts if "," in amount), "")
    is_long = any(amount.isdecimal() and len(amount) > 3 for amount in amounts)  # so thousands are not marked
    if marks.commas_are_decimal or (marks.commas_group and is_long):
        entry["decimal"] = ","
        said.append(f"{example} is read with a decimal comma")
        if marks.dots_group:
            entry["thousands"] = "."
    elif marks.commas_group:
        entry["thousands"] = ","
        if all(amount.count(",") <= 1 and "." not in amount for amount in amounts):
            said.append(
                f"{example} is read as {example.replace(',', '')}; decimal: ',' would make it {example.replace(',', '.')}"
            )
    elif marks.dots_group and (has_decimal_commas or any(amount.count(".") > 1 for amount in amounts)):
        example = next(amount for amount in amounts if "." in amount)
        entry |= {"decimal": ",", "thousands": "."}
        said.append(f"{example} is read as {example.replace('.', '')}")
    if marks.other:
        entry["thousands"] = marks.other
    return dict(entry), said


def _worth(units: Mapping[str, int]) -> dict[str, float] | None:
    """Return what each unit is worth: one unit is 1; thousands and millions are what they are; others cannot be known."""
    folded = {unit.casefold() for unit in units}
    if not units or len(folded) == 1:
        is_scale = folded <= _SCALES.keys() and next(iter(units), "") in ("k", "K", "M", "B", "bn")
        return {unit: _SCALES[unit.casefold()] if is_scale else 1 for unit in units}
    known = {unit: _SCALES.get(unit.casefold(), 1.0 if unit == "+" else None) for unit in units}
    return {unit: worth for unit, worth in known.items() if worth is not None} if None not in known.values() else None


def _yes_no(column: Column) -> Guess | None:
    words = {cell.casefold() for cell in column.counts}
    for pair in _YES_NO:
        if words == pair.keys():
            return Guess({"type": "number", "words": dict(pair)})
    return None


def _epoch(column: Column) -> Guess | None:
    """Return the reading of whole numbers that count seconds, or parts of them, since 1970 - by name and size."""
    if not _TIME_NAMES.search(column.name) or not column.are_whole:
        return None
    values = [number(cell) for cell in column.counts]
    for form, factor in UNITS.items():
        if 3e8 * factor <= min(values) and max(values) <= 4e9 * factor and max(values) > min(values):
            return _parts(column, form, [])
    return None


def _times(column: Column) -> Guess | None:
    """Return the form and parts of a column's times, or None if it has none."""
    cells = [cell for cell in column.counts if 4 <= len(cell) <= 40 and any(letter.isdigit() for letter in cell)]
    if len(cells) < 2 or len(cells) < _MOSTLY * len(column.counts):
        return None
    step = -(-len(cells) // _TRIED)
    likely = [form for form in _FORMS if _share(cells[::step], form) >= _MOSTLY]
    judged = cells[:: -(-len(cells) // _JUDGED)]
    forms = sorted(likely, key=lambda form: -_share(judged, form)) if len(likely) > 1 else likely
    if not forms:
        return None
    form, said = forms[0], []
    rivals = [
        other for other in forms[1:] if _share(judged, other) >= _share(judged, form) and sorted(other) == sorted(form)
    ]
    if rivals:
        said.append(f"{cells[0]} is read as {form} (the day first); format: '{rivals[0]}' would exchange day and month")
    unread = [cell for cell in column.counts if not _is_time(cell, form)]
    guessed = _parts(column, form, unread)
    if guessed and unread:
        named = some(_counted(column, unread), 5)
        guessed.entry["unreadable"] = "missing"
        said.append(
            f"{named}: no times; they count as not measured (unreadable: missing), reject leaves their rows out"
        )
    return Guess(guessed.entry, said + guessed.said) if guessed else None


def _parts(column: Column, form: str, unread: Sequence[str]) -> Guess | None:
    """Return the entry of a column of times: days where the date varies, time of day and weekday where they do."""
    moments = [read(cell, form) for cell in column.counts if cell not in set(unread)]
    in_utc = [moment if moment.tzinfo else moment.replace(tzinfo=UTC) for moment in moments]
    earliest, span = min(in_utc), max(in_utc) - min(in_utc)
    has_dates = form not in ("%H:%M", "%I:%M %p", "%I:%M:%S %p") and earliest.year > 1970
    parts = ["days"] if has_dates and span else []
    if len({moment.timetz() for moment in moments}) > 1:
        parts.append("time_of_day")
    if has_dates and span >= timedelta(days=14) and len({moment.weekday() for moment in moments}) > 1:
        parts.append("weekday")
    if not parts:
        return None
    entry: dict[str, object] = {"type": "time", "format": form}
    if "days" in parts:
        entry["since"] = earliest.astimezone(UTC).isoformat()
    return Guess(entry | {"parts": parts}, [f"times as {form}, taken as {', '.join(parts)}"])


def _share(cells: Sequence[str], form: str) -> float:
    return sum(_is_time(cell, form) for cell in cells) / len(cells)


def _is_time(cell: str, form: str) -> bool:
    if form == "iso" and cell.isdigit():
        return False  # 20240531 is a number first
    try:
        read(cell, form)
    except ValueError:
        return False
    return True


def _words(column: Column) -> Guess | None:
    """Return the words of a column if they are few and each stands in many rows."""
    counts = column.counts
    if len(counts) > 20 and column.is_long_text:
        return None
    holes = [cell for cell in counts if cell.casefold() in HOLES]
    total = sum(counts.values()) - sum(counts[cell] for cell in holes)
    least = min(_LEAST_COUNT, max(2, total // 20))
    usual = [word for word, count in counts.most_common(_MOST_WORDS) if count >= least and word not in holes]
    covered = sum(counts[word] for word in usual)
    if len(usual) < 2 or covered < 0.8 * total or total < _FEW_ROWS_A_WORD * len(usual):
        return None
    said = []
    if rare := [word for word in counts if word not in usual and word not in holes]:
        said.append(f"{len(rare)} rare words in {total - covered} rows are taken together as other: {some(rare, 3)}")
    entry: dict[str, object] = {"type": "category", "words": sorted(usual)}
    if holes:
        entry["missing"] = holes
        said.append(f"{some(_counted(column, holes))} {'is' if len(holes) == 1 else 'are'} taken for holes")
    return Guess(entry, said)


def _why(column: Column) -> str:
    """Return why a column of single values is neither numbers, nor times, nor words, nor text."""
    total = len(column.filled)
    if column.is_unique:
        return f"a different name or id in every row, as {shown(column.filled[0])}"
    return (
        f"{len(column.counts)} different words in {total} rows, as {shown(text(column.filled[0]))}: too many for categories, too "
        f"short for texts; options.columns can list some: {{{column.name}: {{type: category, words: [...]}}}}"
    )


def _counted(column: Column, cells: Sequence[str]) -> list[str]:
    return [f"{shown(cell)} ({column.counts[cell]})" for cell in sorted(cells, key=lambda cell: -column.counts[cell])]
