"""How the files of a series are written: the settings of `tables/recordings.py`, found by looking at several files.

One file leaves too much open. In several, a first line of whole numbers that is the same everywhere is a header, a column
that counts up in every one is an index, and one that goes up by the same step is the time.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from umemma.sources.tables import resampling
from umemma.sources.tables.cells import is_missing
from umemma.sources.tables.recordings import Recording, header_names

_MOST_LINES = 400
_MOST_HEADER = 12
_SEPARATORS = ("\t", ";", "|", ",", " ")
_NAMES = {"\t": "a tab", " ": "blanks"}
_TIME = re.compile(
    r"^(time|timestamps?|t|date(_?time)?|datetime|epoch|elapsed|clock|utc|sec(onds)?|ms)\b|[_ ]time", re.I
)
_IN_NAME = re.compile(r"[\[(_ ](ns|us|µs|ms|s|sec|seconds|min|h)[\])]?$", re.I)
_SPELT = {"µs": "us", "sec": "s", "seconds": "s"}
_EPOCHS = ((1e17, "ns"), (1e14, "us"), (1e11, "ms"), (1e8, "s"))  # what counts since 1970 are at least
_SAME_RATE = 0.02
_EVEN = 0.5  # largest deviation of steps of time from their median, as a share of it
_DAY_FIRST = ("%d.%m.%Y %H:%M:%S", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S", "%Y/%m/%d %H:%M:%S")

Rows = list[list[str]]


@dataclass
class Look:
    """Settings of `Recording` that differ from the defaults, and sentences for the user."""

    settings: dict[str, Any] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)


def look(contents: Sequence[bytes]) -> Look:
    """Return how these files, of one modality, are written."""
    result = Look()
    texts = [_decoded(content, result) for content in contents]
    lines = [[line for line in text.splitlines()[:_MOST_LINES] if line.strip()] for text in texts]
    lines = [some for some in lines if some]
    if not lines:
        return result
    _comments(lines, result)
    lines = [[line for line in some if not _is_comment(line, result)] for some in lines]
    _ends(lines, result)
    separator = _separator(lines, result)
    files = _cells(lines, result)
    width = Counter(len(cells) for rows in files for cells in rows[-50:]).most_common(1)[0][0]
    num_header = _header(files, width, result)
    number = Counter(num_header).most_common(1)[0][0]
    header = files[num_header.index(number)][:number]
    names = [cell.strip() for cell in header_names(header, width)]
    bodies = [rows[own:] for rows, own in zip(files, num_header, strict=True)]
    bodies = [some for rows in bodies if (some := [cells for cells in rows if len(cells) == width])]
    if bodies and separator is not None:
        _columns(bodies, names, header, result, by_place=len(set(num_header)) > 1)
    return result


def are_numbers(content: bytes) -> bool:
    """Whether most of what stands in a text file is numbers, in lines of several."""
    lines = content.decode("utf-8-sig", "replace").splitlines()[:_MOST_LINES]
    cells = [re.split(r"[\s;,|]+", line.strip(" \t;,|")) for line in lines if line.strip()]
    words = [word for row in cells for word in row]
    return len(cells) > 1 and sum(_is_number(word, ".") for word in words) > 0.9 * len(words) > 0


def _decoded(content: bytes, result: Look) -> str:
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        result.settings["encoding"] = "utf-16"
        return content.decode("utf-16", "replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        result.settings["encoding"] = "cp1252"
        return content.decode("cp1252", "replace")


def _comments(lines: Sequence[Sequence[str]], result: Look) -> None:
    marks = [mark for mark in ("#", "%", "//") if any(some[0].lstrip().startswith(mark) for some in lines)]
    if marks:
        result.settings["comment"] = marks[0]
        result.said.append(f"lines that start with {marks[0]} are comments")


def _is_comment(line: str, result: Look) -> bool:
    mark = str(result.settings.get("comment", ""))
    return bool(mark) and line.lstrip().startswith(mark)


def _ends(lines: Sequence[Sequence[str]], result: Look) -> None:
    ends = {line.rstrip()[-1:] for some in lines for line in some[-50:]}
    if len(ends) == 1 and (end := ends.pop()) in (";", ","):
        result.settings["line_end"] = end
        result.said.append(f"every line ends with {end}, which is cut off")


def _separator(lines: Sequence[Sequence[str]], result: Look) -> str | None:
    """Find separator and decimal mark: those that split the last lines into most numbers, in rows of one width."""
    best, separator, decimal_mark = 0.0, "", "."
    for mark in _SEPARATORS:
        for decimal in ".,":
            if decimal != mark:
                part = Recording(separator=mark, line_end=result.settings.get("line_end", ""))
                rows = [cells for some in lines for _, cells in part.cells("\n".join(_last(some)))]
                widths = {len(cells) for cells in rows}
                cells = [cell for cells in rows for cell in cells]
                share = sum(_is_data(cell, decimal) for cell in cells) / max(1, len(cells))
                if len(widths) == 1 and widths != {1} and share > best + 1e-9:
                    best, separator, decimal_mark = share, mark, decimal
    if decimal_mark == ",":
        result.settings["decimal"] = ","
        result.said.append("the decimal mark is a comma")
    first = next((line for line in lines[0] if line.strip()), "")
    if separator and separator != next((mark for mark in "\t;" if mark in first), ","):
        result.settings["separator"] = separator
        result.said.append(f"columns are separated by {_NAMES.get(separator, separator)}")
    return separator or None


def _last(some: Sequence[str]) -> Sequence[str]:
    """Return lines that are steps for certain: none of a header, and not the last one, which may be cut off."""
    return some[len(some) // 2 :][-50:-1] or some[-1:]


def _cells(lines: Sequence[Sequence[str]], result: Look) -> list[Rows]:
    how = Recording(**{key: result.settings[key] for key in ("separator", "line_end") if key in result.settings})
    return [[cells for _, cells in how.cells("\n".join(some))] for some in lines]


def _header(files: Sequence[Rows], width: int, result: Look) -> list[int]:
    """Return the number of lines before the first step, of each file."""
    decimal = result.settings.get("decimal", ".")
    steps = [row for rows in files for row in rows[-50:] if len(row) == width]
    usual = [np.mean([_is_data(row[place], decimal) for row in steps]) > 0.5 for place in range(width)]

    def is_step(cells: Sequence[str]) -> bool:
        return len(cells) == width and all(
            _is_data(cell, decimal) for cell, is_data in zip(cells, usual, strict=True) if is_data
        )

    own = [next((line for line, cells in enumerate(rows[:_MOST_HEADER]) if is_step(cells)), 0) for rows in files]
    number = Counter(own).most_common(1)[0][0]
    if set(own) == {0, 1}:  # each file is read by whether it begins with words
        result.said.append(
            f"{own.count(0)} of {len(own)} files looked at have no header: columns are told by their place"
        )
        return own
    if number == 0 and len(files) > 1 and all(rows[0] == files[0][0] for rows in files) and _counts(files[0][0]):
        number = 1
        result.said.append(f"the first line, {', '.join(files[0][0])}, is the same in all files: taken as a header")
    if number > 1 or (number == 1 and _counts(files[0][0])):
        result.settings["header"] = number
    if number > 1:
        result.said.append(f"the first {number} lines are a header")
    return [number] * len(files)


def _counts(cells: Sequence[str]) -> bool:
    """Whether a line is 0,1,2,... as pandas names columns, perhaps after an empty name for the index."""
    names = [cell.strip() for cell in cells]
    names = names[1:] if names[:1] == [""] else names
    return names == [str(number) for number in range(len(names))] and len(cells) > 1


def _columns(bodies: Sequence[Rows], names: Sequence[str], others: Rows, result: Look, *, by_place: bool) -> None:
    """Find the columns that are no channel: index, time, words. All rows have one width."""
    width = len(bodies[0][0])

    def place_or_name(place: int) -> str | int:
        is_named = names and names[place] and names.count(names[place]) == 1 and not by_place
        return names[place] if is_named else place

    skipped: list[str | int] = []
    for place in range(width):
        columns = [[cells[place] for cells in rows] for rows in bodies]
        name = names[place] if names else ""
        units = [row[place] for row in others if len(row) == width]
        shown = f"column {place_or_name(place)}"
        if "time" not in result.settings and (unit := _unit(columns, name, units)):
            result.settings |= {"time": place_or_name(place), "unit": unit}
            _rate(columns, shown, result)
        elif _is_index(columns):
            skipped.append(place_or_name(place))
            result.said.append(f"{shown} counts the steps: an index, left out")
        elif not _are_numbers(columns, result.settings.get("decimal", ".")):
            skipped.append(place_or_name(place))
            result.said.append(f"{shown} holds words: left out")
    if skipped:
        result.settings["skip"] = skipped


def _rate(columns: Sequence[Sequence[str]], shown: str, result: Look) -> None:
    how = Recording(unit=result.settings["unit"], decimal=result.settings.get("decimal", "."))
    rates = sorted(
        resampling.rate(np.array([how.seconds(cell) for cell in cells])) for cells in columns if len(cells) > 1
    )
    rates = [rate for rate in rates if np.isfinite(rate)]
    if not rates:
        return
    usual = rates[len(rates) // 2]
    rounded = float(f"{usual:.3g}")
    result.settings["rate_hz"] = rounded
    differ = rates[-1] / rates[0] > 1 + _SAME_RATE
    result.said.append(
        f"{shown} is the time, in {result.settings['unit']}, and no channel: "
        + (f"{rates[0]:.3g} to {rates[-1]:.3g} Hz, all brought to {rounded:g} Hz" if differ else f"{rounded:g} Hz")
        + " (recording.rate_hz)"
    )


def _unit(columns: Sequence[Sequence[str]], name: str, units: Sequence[str]) -> str | None:
    """Return the unit of a column of time; None if it is none."""
    cells = [cell for column in columns for cell in column]
    if any(is_missing(cell) for cell in cells):
        return None
    if not all(_is_data(cell, ".") and _is_number(cell, ".") for cell in cells):
        return next((form for form in ("iso", *_DAY_FIRST) if _goes_up(columns, Recording(unit=form))), None)
    return _unit_of_numbers(columns, name, units) if _goes_up(columns, Recording(unit="s")) else None


def _unit_of_numbers(columns: Sequence[Sequence[str]], name: str, units: Sequence[str]) -> str | None:
    values = [np.array([float(cell) for cell in column]) for column in columns]
    least = min(column[0] for column in values)
    is_named = bool(_TIME.search(name.strip()))
    for smallest, unit in _EPOCHS:
        if least >= smallest and (is_named or smallest == _EPOCHS[-1][0] or least >= 1e11):
            return unit
    if not is_named and (_is_index(columns) or not _are_even(values)):
        return None
    for written in [*units, name]:
        if found := _IN_NAME.search(f" {written.strip()}"):
            return _SPELT.get(found[1].casefold(), found[1].casefold())
    step = float(np.median(np.concatenate([np.diff(column) for column in values])))
    return "ms" if step >= 1 else "s"


def _goes_up(columns: Sequence[Sequence[str]], how: Recording) -> bool:
    try:
        seconds = [np.array([how.seconds(cell) for cell in column]) for column in columns]
    except ValueError:
        return False
    return all((np.diff(column) >= 0).all() for column in seconds) and any(column[-1] > column[0] for column in seconds)


def _are_even(values: Sequence[np.ndarray]) -> bool:
    steps = [np.diff(column) for column in values if len(column) > 2]
    return bool(steps) and all(
        np.median(step) > 0 and np.abs(step - np.median(step)).mean() < _EVEN * np.median(step) for step in steps
    )


def _is_index(columns: Sequence[Sequence[str]]) -> bool:
    try:
        values = [np.array([int(cell) for cell in column]) for column in columns]
    except ValueError:
        return False
    return all(len(column) > 1 and (np.diff(column) == 1).all() for column in values)


def _are_numbers(columns: Sequence[Sequence[str]], decimal: str) -> bool:
    return all(is_missing(cell) or _is_number(cell, decimal) for column in columns for cell in column)


def _is_data(cell: str, decimal: str) -> bool:
    """Whether a cell may stand in a step: a number, a time, or nothing."""
    return is_missing(cell) or _is_number(cell, decimal) or _is_time(cell)


def _is_number(cell: str, decimal: str) -> bool:
    try:
        float(cell.strip().replace(".", "x").replace(",", ".") if decimal == "," else cell)
    except ValueError:
        return False
    return True


def _is_time(cell: str) -> bool:
    for form in ("iso", *_DAY_FIRST):
        try:
            Recording(unit=form).seconds(cell.strip())
        except ValueError:
            continue
        return any(mark in cell for mark in "-:/.")
    return False
