"""Text: UTF-8, at most one mebibyte, without its byte order mark.

Windows programs write a byte order mark before UTF-8; it is not part of the text. Any other encoding is rejected: a
wrong guess would give garbled text that nobody notices in the results.
"""

import codecs

from umemma.errors import DataError
from umemma.media.kinds import signature

MAX_BYTES = 1 << 20  # about 180,000 English words; encoders here read a few hundred
_WIDE = ("gb18030", "big5", "shift_jis", "euc_kr")  # double-byte encodings, tried in this order
_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


def read(content: bytes) -> str:
    """Return the text without a byte order mark.

    Raises DataError for more than MAX_BYTES, NUL characters, and other encodings, of which it names the likely one.
    """
    if len(content) > MAX_BYTES:
        raise DataError(f"text has {len(content):,} bytes, at most {MAX_BYTES:,} are read")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"no readable text: not UTF-8 from byte {error.start} on; {_likely(content)}") from error
    if "\0" in text:
        raise DataError(f"no readable text: a NUL character at position {text.index(chr(0))}; {_likely(content)}")
    return text


def facts(content: bytes) -> dict[str, object]:
    """Return the length, whether it is only white space (`blank`), and the number of characters lost upstream.

    `num_replaced` counts U+FFFD, which an earlier program inserted where it could not decode the text.
    """
    text = read(content)
    return {"num_chars": len(text), "blank": not text.strip(), "num_replaced": text.count("\ufffd")}


def _likely(content: bytes) -> str:
    """Return a hint as text at the likely encoding or format."""
    if format_ := signature.named(content):
        return f"it is {format_}"
    for mark, encoding in _MARKS.items():  # UTF-32 first: its mark starts with UTF-16's
        if content.startswith(mark):
            return f"it begins with the mark of {encoding}"
    if content[:200].count(0) > len(content[:200]) // 4:
        return "it is likely UTF-16 or no text at all"
    if b"\0" in content:
        return "it is likely no text"
    high = sum(byte > 0x7F for byte in content)
    lone = sum(
        byte > 0x7F and max(content[max(0, i - 1)], content[min(i + 1, len(content) - 1)]) < 0x80
        for i, byte in enumerate(content)
        if i
    )
    fitting = [name for name in _WIDE if _decodes(content, name)]
    if fitting and lone < high / 2:
        return f"it is likely {fitting[0].upper()}" + (f", or {', '.join(fitting[1:]).upper()}" if fitting[1:] else "")
    return "it is likely Windows-1252 or Latin-1"


def _decodes(content: bytes, encoding: str) -> bool:
    try:
        content.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True
