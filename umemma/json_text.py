"""JSON from elsewhere as Python values, with a limit to how deep its lists and objects lie within each other.

Python's reader stops at its own depth of about a thousand with a RecursionError, and what is below that would crash
those who walk over it.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any

from umemma import limits
from umemma.errors import OverLimit


def parsed(
    text: str | bytes, what: str = "the file", once: Callable[[Sequence[tuple[str, Any]]], dict[str, Any]] | None = None
) -> Any:
    """Return the value; `once` makes each object of its pairs. Raises ValueError if it is no JSON, OverLimit if it is too deep."""
    try:
        value = json.loads(text, object_pairs_hook=once)
    except RecursionError as error:
        raise OverLimit(
            f"over limits.depth: {what} has more levels than Python can read, at most {limits.current().depth} are read"
        ) from error
    limits.check_depth(value, what)
    return value
