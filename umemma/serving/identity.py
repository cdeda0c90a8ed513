"""What names an answer: the first digits of two digests, of the model folder and of the values that were read of the row."""

import re

_DIGITS = 12  # of a digest in an id: among a million rows two share one in 1 of 560 cases
ID = re.compile(rf"([0-9a-f]{{{_DIGITS}}})-([0-9a-f]{{{_DIGITS}}})")


def identifier(model: str, row: str) -> str:
    """Return an answer's id: of both digests the first digits, as `ID` reads them."""
    return f"{model[:_DIGITS]}-{row[:_DIGITS]}"
