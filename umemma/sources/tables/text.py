"""Decodes a text file, as UTF-8 by default; errors name the line.

The encoding is never guessed: Latin-1 decodes every file and GB18030 most, so a guess would silently put wrong letters
into the data.
"""

import codecs
from pathlib import Path

from umemma.errors import DataError, ParameterError

_MARKS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def decoded(path: Path, content: bytes, encoding: str) -> str:
    """Return the text, without a byte order mark. Raises DataError naming the line and byte that cannot be decoded."""
    try:
        name = codecs.lookup(encoding).name
        text = content.decode("utf-8-sig" if name == "utf-8" else name)
    except (LookupError, TypeError) as error:
        raise ParameterError(
            f"dataset.options.encoding: no encoding is called {encoding!r}; utf-8, gb18030, latin-1 and utf-16 are some"
        ) from error
    except UnicodeDecodeError as error:
        marked = next((name for mark, name in _MARKS.items() if content.startswith(mark)), None)
        hint = f"its mark says {marked}" if marked else "gb18030 and latin-1 are common"
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path} line {line} is no {encoding}: byte {content[error.start]:#04x}. Name its encoding in "
            f"dataset.options.encoding ({hint}), or save it as UTF-8"
        ) from error
    if (position := text.find("\0")) >= 0:
        line = text.count("\n", 0, position) + 1
        raise DataError(f"{path} line {line} holds a NUL byte: this is no table in {encoding}")
    return text
