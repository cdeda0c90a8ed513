"""Text in UTF-8, without its byte order mark.

A byte order mark says the encoding and is believed, also that of UTF-16; it is not part of the text. Any other encoding
must be named: a wrong guess would give garbled text that nobody notices in the results. `likely_encoding` is the guess
that `umemma init` proposes and a person confirms.
"""

import codecs
from collections.abc import Sequence

from charset_normalizer import from_bytes

from umemma import limits
from umemma.errors import DataError, ParameterError
from umemma.media import formats

# Common in files without a mark, each as its superset: cp932 holds Shift-JIS, cp1252 Latin-1.
ENCODINGS = tuple(
    [
        "gb18030",
        "big5",
        "cp932",
        "euc_jp",
        "cp949",
        "cp1252",
        "cp1250",
        "cp1251",
        "koi8_r",
        "cp1253",
        "cp1254",
        "cp1255",
        "cp1256",
    ]
)
_FEW_BYTES = 200_000  # that are enough to tell an encoding
_ALIKE = 0.01  # difference of two shares of odd letters that says nothing; then the more common encoding is taken
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",  # first: it starts with the mark of UTF-16
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def read(content: bytes) -> str:
    """Return the text without a byte order mark.

    Raises DataError for more bytes than the limit, NUL characters, and other encodings, of which it names the likely one.
    """
    limits.check("text_bytes", len(content), "the text")
    try:
        text = content.decode(_marked(content) or "utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"no readable text: not {error.encoding} from byte {error.start} on; {_likely(content)}"
        ) from error
    if "\0" in text:
        raise DataError(f"no readable text: a NUL character at position {text.index(chr(0))}; {_likely(content)}")
    return text


def as_utf8(content: bytes, encoding: str) -> bytes:
    """Return a text in `encoding` as UTF-8; one that is UTF-8 or says its own encoding by a mark as it is.

    Raises DataError if it is in another encoding.
    """
    if _marked(content) or codecs.lookup(encoding).name == "utf-8":
        return content
    limits.check("text_bytes", len(content), "the text")
    try:
        return content.decode(encoding).encode()
    except UnicodeDecodeError as error:
        raise DataError(f"no readable text: not {encoding} from byte {error.start} on; {_likely(content)}") from error


def check_encoding(encoding: object, where: str) -> None:
    """Raise ParameterError, naming the setting, if no encoding of texts is called so."""
    try:
        if isinstance(encoding, str) and codecs.lookup(encoding)._is_text_encoding:
            return
    except LookupError:
        pass
    raise ParameterError(f"{where}: no encoding is called {encoding!r}; utf-8, {', '.join(ENCODINGS[:6])} are some")


def likely_encoding(contents: Sequence[bytes]) -> str | None:
    """Return the encoding that texts are most likely in, all of them; None if they are UTF-8 or none fits."""
    unmarked = [content for content in contents if not _marked(content)]
    if any(b"\0" in content for content in unmarked) or all(_decodes(content, "utf-8") for content in unmarked):
        return None
    fitting = [name for name in ENCODINGS if all(_decodes(content, name) for content in unmarked)]
    telling = b"\n".join(content for content in unmarked if not _decodes(content, "utf-8"))[:_FEW_BYTES]
    matches = list(from_bytes(telling, cp_isolation=fitting)) if fitting else []
    alike = {
        name
        for match in matches
        if match.chaos <= matches[0].chaos + _ALIKE
        for name in match.could_be_from_charset  # they decode these bytes to the same letters
    }
    return next((name for name in fitting if name in alike or not alike), None)


def facts(content: bytes) -> dict[str, object]:
    """Return the length, whether it is only white space (`blank`), and the number of characters lost upstream.

    `num_replaced` counts U+FFFD, which an earlier program inserted where it could not decode the text.
    """
    text = read(content)
    return {"num_chars": len(text), "blank": not text.strip(), "num_replaced": text.count("\ufffd")}


def _likely(content: bytes) -> str:
    """Return a hint as text at the likely encoding or format."""
    if format_ := formats.named(content):
        return f"it is {format_}"
    if content[:200].count(0) > len(content[:200]) // 4:
        return "it is likely UTF-16 or no text at all"
    if b"\0" in content:
        return "it is likely no text"
    likely = likely_encoding([content])
    return (
        f"it is likely {likely} (`encoding: {likely}` of a table's modality reads it)" if likely else "no encoding fits"
    )


def _marked(content: bytes) -> str | None:
    """Return the encoding that a byte order mark says; Python's UTF-8 reader takes its own away."""
    return next((encoding for mark, encoding in _MARKS.items() if content.startswith(mark)), None)


def _decodes(content: bytes, encoding: str) -> bool:
    try:
        content.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True
