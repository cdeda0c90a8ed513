"""Interprets a cell of a table - missing, text, a number, yes or no - the same in every file format.

Missing values are null, NaN, an empty list, blank text, and the spellings below in any case. If one of them is a real
value in a table (the class "None"), `dataset.options.missing` overrides the list; a label that is one of the data set's
classes is never taken as missing.
"""

import math
from collections.abc import Collection, Sequence

import numpy as np

MISSING = ("nan", "null", "none", "na", "n/a", "<na>")
_YES_NO = {"1": True, "1.0": True, "true": True, "0": False, "0.0": False, "false": False}


def is_missing(cell: object, spellings: Collection[str] = MISSING) -> bool:
    """Whether a cell is missing; `spellings` are lower case."""
    if cell is None:
        return True
    if isinstance(cell, str):
        stripped = cell.strip()
        return not stripped or stripped.casefold() in spellings
    if isinstance(cell, float):
        return math.isnan(cell)
    return isinstance(cell, list | np.ndarray) and len(cell) == 0


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
    """Return the items of a cell: of a list, or of a text split by the separator; empty ones are dropped."""
    parts: Sequence[object] = list(cell) if isinstance(cell, list | np.ndarray) else text(cell).split(separator)
    return [stripped for part in parts if part is not None and (stripped := text(part))]


def shown(cell: object) -> str:
    """Return a cell as quoted in error messages, shortened if long."""
    quoted = repr(cell)
    return quoted if len(quoted) <= 60 else f"{quoted[:57]}..."
