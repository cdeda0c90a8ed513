"""Sensor recordings and vectors as the bytes of a .npy file, judged on the way.

- A series has two axes, (step, channel), a vector one. A series file with one axis is one channel and gets the second.
- A .csv of numbers: a line for every step, a column for every channel, separated by a tab, else a semicolon, else a
  comma, as its first line has them. A first line of words only is a header.
- Where a value is missing (NaN, an empty cell) none is made up: the sample is bad, unless `fill` says by which number
  to replace it. Infinite values, in float32, are always bad.
- A .npy file that needs no change is passed on byte for byte.
"""

import csv
import io

import numpy as np

from umemma.data.sample import BadSample
from umemma.sources.tables.cells import is_missing, number

AXES = {"series": 2, "vector": 1}


def from_npy(named: str, content: bytes, kind: str, fill: float | None) -> bytes:
    """Return a .npy file of the axes that `kind` has. Raises BadSample where it is none or a number is not usable."""
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
    """Return how many axes the array in a .npy file has. Raises BadSample where it is none."""
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
                        f"a number is missing: line {line}, value {channel + 1}; `fill` may say by which to replace it",
                    )
                continue
            try:
                values[step, channel] = number(cell)
            except ValueError as error:
                raise BadSample(named, f"no usable number: line {line}, {error}") from error
    return npy(_filled(named, values, fill))


def npy(values: np.ndarray) -> bytes:
    """Return an array as a .npy file, the same bytes for the same values."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ascontiguousarray(values), version=(1, 0), allow_pickle=False)
    return buffer.getvalue()


def _array(named: str, content: bytes) -> np.ndarray:
    try:
        return np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
    except Exception as error:  # NumPy reads the header as Python code: a damaged one raises almost anything
        is_object = isinstance(error, ValueError) and "Object arrays" in str(error)
        why = "it holds Python objects, such as rows of unequal length, not numbers" if is_object else error
        raise BadSample(named, f"no readable .npy file: {why}") from error


def _filled(named: str, values: np.ndarray, fill: float | None) -> np.ndarray:
    """Return the values with `fill` in place of NaN; the same object where there is none to replace."""
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
            "say by which to replace it",
        )
    return np.where(holes, np.asarray(fill, values.dtype), values)


def _rows(named: str, content: bytes) -> list[tuple[int, list[str]]]:
    """Return (line, cells) for every step. An empty line is a step without a value, but not at start and end."""
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
    """Whether a line is of words only. NaN and infinity are none, nor is 1,5 with a comma: it is a wrong number."""
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
