"""Converts time series and vectors to the bytes of a .npy file, and validates them.

- A series has two axes, (step, channel), a vector one. A series file with one axis is taken as a single channel.
- A .csv of numbers has a line for every step and a column for every channel, separated by a tab, else a semicolon, else
  a comma, whichever its first line contains. A first line of words only is a header.
- A missing value (NaN, an empty cell) makes the sample bad, unless `fill` gives a number to replace it with. Values
  that are infinite in float32 are always bad.
- A .npy file that needs no change is passed on byte for byte.
"""

import csv
import io

import numpy as np

from umemma.data.sample import BadSample
from umemma.sources.tables.cells import is_missing, number

AXES = {"series": 2, "vector": 1}


def from_npy(named: str, content: bytes, kind: str, fill: float | None) -> bytes:
    """Return a .npy file with the axes of `kind`. Raises BadSample if it is unreadable or holds an unusable number."""
    values = _array(named, content)
    if values.dtype.kind not in "fiu" or not values.size or values.ndim not in {1, AXES[kind]}:
        raise BadSample(
            named,
            f"no {kind}: shape {values.shape} and type {values.dtype}, not real numbers along "
            f"{'two axes, (step, channel)' if kind == 'series' else 'one axis'}",
        )
    filled = _filled(named, values, fill)
    if filled is values and values.ndim == AXES[kind]:
        return content
    return npy(filled[:, None] if kind == "series" and filled.ndim == 1 else filled)


def num_axes(named: str, content: bytes) -> int:
    """Return the number of axes of the array in a .npy file. Raises BadSample if it is unreadable."""
    return _array(named, content).ndim


def from_csv(named: str, content: bytes, fill: float | None) -> bytes:
    """Return the series in a .csv file as .npy, float32 (step, channel). Raises BadSample naming line and value."""
    rows = _rows(named, content)
    if not rows:
        raise BadSample(named, "holds no numbers")
    first_line, width = rows[0][0], len(rows[0][1])
    values = np.full((len(rows), width), np.nan, np.float32)
    for step, (line, cells) in enumerate(rows):
        if len(cells) != width:
            raise BadSample(named, f"ragged rows: line {line} has {len(cells)} values, line {first_line} {width}")
        for channel, cell in enumerate(cells):
            if is_missing(cell):
                if fill is None:
                    raise BadSample(
                        named,
                        f"a number is missing: line {line}, value {channel + 1}; `fill` may give a number to replace it with",
                    )
                continue
            try:
                values[step, channel] = number(cell)
            except ValueError as error:
                raise BadSample(named, f"no usable number: line {line}, {error}") from error
    return npy(_filled(named, values, fill))


def npy(values: np.ndarray) -> bytes:
    """Return an array as a .npy file; equal values give equal bytes."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ascontiguousarray(values), version=(1, 0), allow_pickle=False)
    return buffer.getvalue()


def _array(named: str, content: bytes) -> np.ndarray:
    try:
        return np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
    except Exception as error:  # NumPy parses the header as Python code: a corrupt one raises almost anything
        is_object = isinstance(error, ValueError) and "Object arrays" in str(error)
        why = "it holds Python objects, such as rows of unequal length, not numbers" if is_object else error
        raise BadSample(named, f"no readable .npy file: {why}") from error


def _filled(named: str, values: np.ndarray, fill: float | None) -> np.ndarray:
    """Return the values with NaN replaced by `fill`; the same object if there is none."""
    if values.dtype.kind != "f":
        return values
    with np.errstate(over="ignore"):
        infinite = np.argwhere(np.isinf(values.astype(np.float32)))
    if len(infinite):
        raise BadSample(
            named,
            f"no usable number: {values[tuple(infinite[0])]} in place {infinite[0].tolist()} is not finite in float32",
        )
    holes = np.isnan(values)
    if not holes.any():
        return values
    if fill is None:
        raise BadSample(
            named,
            f"a number is missing: NaN in place {np.argwhere(holes)[0].tolist()}; `fill` may "
            "give a number to replace it with",
        )
    return np.where(holes, np.asarray(fill, values.dtype), values)


def _rows(named: str, content: bytes) -> list[tuple[int, list[str]]]:
    """Return (line, cells) for every step. An empty line is a step without a value, except at the start and end."""
    try:
        text = content.decode("utf-8-sig")
        first = text.lstrip().split("\n", 1)[0]
        delimiter = next((mark for mark in "\t;" if mark in first), ",")
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        rows = [(reader.line_num, cells or [""]) for cells in reader]
    except (csv.Error, UnicodeDecodeError) as error:
        raise BadSample(named, f"no readable .csv file: {error}") from error
    for end in (0, -1):
        while rows and rows[end][1] == [""]:
            del rows[end]
    return rows[1:] if rows and _is_header(rows[0][1]) else rows


def _is_header(cells: list[str]) -> bool:
    """Whether a line has words only. NaN and infinity are not words, nor is 1,5: it is an invalid number."""
    words = [cell.strip() for cell in cells if cell.strip()]
    return bool(words) and all(
        any(letter.isalpha() for letter in word) and not is_missing(word) and not _is_number(word) for word in words
    )


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
