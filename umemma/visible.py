r"""Text on a terminal as characters that can be seen: what is in a table, a file's name or a request commands no terminal.

An escape sequence can rename the window, clear it, or write over what stands there; a mark of direction makes `exe.png` of
what ends in `.exe`. Such characters are written as JSON does, `\u001b`, so that JSON stays the same JSON. They are legal
in cells and files' names, so they are escaped where they would be shown, in one place, rather than refused everywhere.
"""

import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, TextIO, cast

from umemma.redaction import redacted

# Control characters but tab and line feed, ends of lines and paragraphs, marks that turn the direction of writing. Not
# all that Unicode calls a format: Persian and Hindi are written with joiners, emoji are made of them.
HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_OURS = re.compile("\r(?:\x1b\\[K)?|(?:\x1b\\[A)+")  # a bar or a line of progress, written over the one before


def visible(text: str) -> str:
    """Return a text in which what cannot be seen is escaped; tabs and line feeds stay."""
    return HIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


class _Stream:
    """A stream to which `visible` text without secrets is written; all else is that of the stream below."""

    def __init__(self, below: TextIO) -> None:
        self.below = below

    def write(self, text: str) -> int:
        ours = _OURS.match(text)
        start = ours.end() if ours else 0
        self.below.write(text[:start] + visible(redacted(text[start:])))
        return len(text)

    def writelines(self, lines: Iterator[str]) -> None:
        self.write("".join(lines))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.below, name)


@contextmanager
def visible_output() -> Iterator[None]:
    """Escape what is printed until the end, and leave out secrets; also of the trace of an error of ours."""
    before = sys.stdout, sys.stderr
    sys.excepthook = _trace
    sys.stdout, sys.stderr = (cast(TextIO, _Stream(stream)) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def _trace(kind: type[BaseException], error: BaseException, at: TracebackType | None) -> None:
    text = "".join(traceback.format_exception(kind, error, at))
    print(visible(redacted(text)), file=sys.stderr, end="", flush=True)


def data_output() -> TextIO:
    """Return where a command writes data: standard output, every byte as it is unless a terminal shows it."""
    stream = sys.stdout
    return stream.below if isinstance(stream, _Stream) and not stream.isatty() else stream
