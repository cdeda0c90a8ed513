"""Text as it lies in a file: UTF-8, with or without a byte-order mark."""

from umemma.errors import DataError


def read(content: bytes) -> str:
    """Return the text, which may be empty. Raises DataError for other encodings; UTF-16 is known by its NUL bytes."""
    try:
        found = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"no readable text: byte {error.start} is not UTF-8 ({error.reason})") from error
    if "\0" in found:
        raise DataError(f"no readable text: a NUL at character {found.index(chr(0))}: binary, or UTF-16")
    return found
