"""Interprets a cell of a table - missing, text, a number, yes or no, a list - the same in every file format.

Missing values are null, NaN, an empty list, blank text, and the spellings below in any case. If one of them is a real
value in a table (the class "None"), `dataset.options.missing` overrides the list; a label that is one of the data set's
classes is never taken as missing.

A list or object may be written out as text, as pandas does in a CSV: `structure` reads it, for labels and for numbers.
"""

import ast
import math
import re
import warnings
from collections.abc import Collection, Iterable, Mapping

import numpy as np

from umemma import json_text, limits
from umemma.errors import OverLimit

MISSING = ("nan", "null", "none", "na", "n/a", "<na>")
NAMES = ("name", "label", "title", "value", "text", "id")  # keys of an object that stands for a class, the best first
_BRACKETS = ("[]", "()", "{}")
_PRINTED = re.compile(r"(?:np\.|torch\.)?(?:array|tensor)\((\[.*\])(?:,\s*\w+=[^\]]*)?\)", re.DOTALL)
_STRING = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""")
_YES_NO = {"1": True, "1.0": True, "true": True, "0": False, "0.0": False, "false": False}


def words_for_holes(given: Iterable[object] | None) -> frozenset[str]:
    """Return the words that mean an empty cell, in lower case: those given, or the usual ones."""
    return frozenset(str(word).casefold() for word in (MISSING if given is None else given))


def is_missing(cell: object, spellings: Collection[str] = MISSING) -> bool:
    """Whether a cell is missing; `spellings` are lower case."""
    if cell is None:
        return True
    if isinstance(cell, str):
        stripped = cell.strip()
        return not stripped or stripped in _BRACKETS or stripped.casefold() in spellings
    if isinstance(cell, float):
        return math.isnan(cell)
    return isinstance(cell, list | np.ndarray | Mapping | bytes) and len(cell) == 0


def text(cell: object) -> str:
    """Return a cell as stripped text; a whole number has no `.0` (pandas adds one in columns with missing values)."""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).strip()


def number(cell: object) -> float:
    """Return a cell as a finite number that float32 can hold. Raises ValueError if it is not one."""
    try:
        if isinstance(cell, str) and "_" in cell:
            raise ValueError  # Python would accept 1_000
        value = float(cell)  # type: ignore[arg-type]
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"{shown(cell)} is no number") from error
    if not math.isfinite(value) or abs(value) > float(np.finfo(np.float32).max):
        raise ValueError(f"{shown(cell)} is not finite in float32")
    return value


def yes_or_no(cell: object) -> bool:
    """Return whether a cell is 1 or true. Raises ValueError if it is neither 1 nor 0."""
    answer = text(cell).casefold()
    if answer not in _YES_NO:
        raise ValueError(f"{shown(cell)} is neither 1 nor 0")
    return _YES_NO[answer]


def items(cell: object, separator: str) -> list[str]:
    """Return the items of a cell: of a list, also one written as text, or of a text split by the separator.

    Empty ones are dropped; of objects, as in `[{"id": 18, "name": "Drama"}]`, the name. Raises ValueError for an object
    without one.
    """
    whole = structure(cell)
    parts = text(cell).split(separator) if whole is None else [whole] if isinstance(whole, dict) else whole
    named = [_name(part) if isinstance(part, Mapping) else part for part in parts]
    return [stripped for part in named if part is not None and (stripped := text(part))]


def one_hot(cell: object) -> list[bool] | None:
    """Return which classes a list of 0 and 1 says, `[0, 1, 0]`; None for a cell that is no such list."""
    values = structure(cell)
    if not isinstance(values, list) or len(values) < 2:
        return None
    try:
        return [yes_or_no(value) for value in values]
    except ValueError:
        return None


def structure(cell: object) -> list[object] | dict[str, object] | None:
    """Return the list or object that a cell is, or that its text writes out; None if it is neither.

    Text is read as JSON, as a Python literal, and as NumPy and PyTorch print arrays: `[0.1 0.2]`, `tensor([1, 2])`.
    """
    if isinstance(cell, Mapping):
        return dict(cell)
    if isinstance(cell, list | tuple | np.ndarray):
        return list(cell)
    if not isinstance(cell, str):
        return None
    written = cell.strip()
    if printed := _PRINTED.fullmatch(written):
        written = printed[1]
    if written[:1] + written[-1:] not in _BRACKETS:
        return None
    for reader in (json_text.parsed, _literal, _printed_numbers):
        try:
            value = reader(written)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError, OverLimit):
            continue
        if isinstance(value, list | tuple | dict):
            return value if isinstance(value, dict) else list(value)
    return None


def _name(part: Mapping[str, object]) -> object:
    for key in NAMES:
        if key in part:
            return part[key]
    raise ValueError(f"{shown(dict(part))} has none of the keys {', '.join(NAMES)}")


def _literal(written: str) -> object:
    """Evaluate a Python literal; Python would join the strings of `['a' 'b']`, which NumPy prints for two items."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # a backslash in a text
        tree = ast.parse(written, mode="eval").body
        if isinstance(tree, ast.List) and len(tree.elts) == 1 and isinstance(tree.elts[0], ast.Constant):
            segment = ast.get_source_segment(written, tree.elts[0]) or ""
            if len(strings := _STRING.findall(segment)) > 1:
                return [ast.literal_eval(string) for string in strings]
        value = ast.literal_eval(ast.List(tree.elts) if isinstance(tree, ast.Set) else tree)
        limits.check_depth(value, "the cell")
        return value


def _printed_numbers(written: str) -> list[float]:
    """Read numbers between blanks or commas, `nan` among them; an ellipsis, where numbers were left out, is none."""
    if "[" in written[1:]:
        raise ValueError
    return [float(part) for part in written[1:-1].replace(",", " ").split()]


def shown(cell: object) -> str:
    """Return a cell as quoted in error messages, shortened if long."""
    quoted = repr(cell)
    return quoted if len(quoted) <= 60 else f"{quoted[:57]}..."
