"""Decodes a text file, as UTF-8 by default; errors name the line and the encoding that it may have.

The adapter never guesses: Latin-1 decodes every file and GB18030 most, so a guess would silently put wrong letters into
the data. `umemma init` guesses (`likely_encoding`), shows a line, and writes the encoding down.
"""

import codecs
import re
from pathlib import Path

from umemma.errors import DataError, ParameterError

_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_USUAL = {  # encodings that tables have today, and how much less likely each is than it looks
    "cp1252": -0.15,
    "cp1250": 0.0,
    "gb18030": 0.0,
    "big5": 0.0,
    "cp932": 0.0,
    "euc_jp": 0.0,
    "cp949": 0.0,
    "cp1251": 0.0,
    "koi8_r": 0.0,
    "iso8859_2": 0.0,
    "mac_roman": 0.3,
}
_LATIN = {"cp1252", "cp1250", "iso8859_2", "mac_roman"}
_SCRIPTS = {  # letters that a text in the encoding has, and their least share: Japanese is never without kana
    "cp932": ("[\u3040-\u30ff]", 0.2),
    "euc_jp": ("[\u3040-\u30ff]", 0.2),
    "cp949": ("[\uac00-\ud7a3]", 0.5),
}
_CYRILLIC = {"cp1251", "koi8_r"}
_JUDGED_BYTES = 100_000
_FEW_RUNS = 4  # of letters outside ASCII, below which it may be chance that all come in pairs
_LATIN_RUN = 2  # bytes of a run in a Latin script: the ö and ß of Größe


def decoded(path: Path, content: bytes, encoding: str, option: str = "dataset.options.encoding") -> str:
    """Return the text, without a byte order mark. Raises DataError naming the line and byte that cannot be decoded."""
    try:
        name = codecs.lookup(encoding).name
        text = content.decode("utf-8-sig" if name == "utf-8" else name)
    except (LookupError, TypeError) as error:
        raise ParameterError(
            f"{option}: no encoding is called {encoding!r}; utf-8, gb18030, cp1252 and utf-16 are some"
        ) from error
    except UnicodeDecodeError as error:
        line, likely = content.count(b"\n", 0, error.start) + 1, likely_encoding(content)
        advice = (
            "The rest is: the byte is damaged, correct that line"
            if likely == encoding
            else f"Name its encoding in {option} ({likely} is likely), or save it as UTF-8"
        )
        raise DataError(f"{path} line {line} is no {encoding}: byte {content[error.start]:#04x}. {advice}") from error
    if (position := text.find("\0")) >= 0:
        line = text.count("\n", 0, position) + 1
        raise DataError(f"{path} line {line} holds a NUL byte: this is no table in {encoding}")
    return text


def likely_encoding(content: bytes) -> str:
    """Guess the encoding of a text: by its mark, as UTF-8, by where zeros are, else by what its letters are likely to be."""
    for mark, name in _MARKS.items():
        if content.startswith(mark):
            return name
    if _decodes(content, "utf-8"):
        zeros = content[0:4000:2].count(0), content[1:4000:2].count(0)
        few = len(content[:4000]) / 8  # of an alphabet's letters every second byte is zero
        return "utf-16-le" if zeros[1] > few else "utf-16-be" if zeros[0] > few else "utf-8"
    if _is_damaged_utf_8(content):
        return "utf-8"
    from charset_normalizer import from_bytes

    telling = b"\n".join(line for line in content.splitlines() if not line.isascii())[:_JUDGED_BYTES]
    if _decodes(telling, "cp1252") and not re.search(r"[^\W\d_a-zA-Z]", telling.decode("cp1252")):
        return "cp1252"  # no letters outside ASCII, only signs such as € and curly quotes
    runs = re.findall(rb"[\x80-\xff]+", telling)
    are_pairs = all(len(run) % 2 == 0 for run in runs) and (len(runs) >= _FEW_RUNS or max(map(len, runs)) > _LATIN_RUN)
    # Letters in pairs of bytes: no Latin script.
    names = [name for name in _USUAL if not are_pairs or name not in _LATIN]
    names = [name for name in names if name not in _CYRILLIC or not _mixes_scripts(telling.decode(name, "replace"))]
    matches = {
        encoding: (match.chaos - match.coherence + _USUAL[encoding], names.index(encoding))
        for match in from_bytes(telling, cp_isolation=names, threshold=0.4)
        for encoding in match.could_be_from_charset
        if encoding in names
    }
    likely = [
        encoding for encoding in sorted(matches, key=lambda encoding: matches[encoding]) if _decodes(content, encoding)
    ]
    return likely[0] if likely else "utf-16-le" if content[1:4000:2].count(0) else "latin-1"


def _mixes_scripts(text: str) -> bool:
    """Whether most words with a Cyrillic letter have a Latin one, too: `Grцяe` is no word."""
    words = [word for word in re.findall(r"\w+", text) if re.search("[\u0400-\u04ff]", word)]
    return 2 * sum(bool(re.search("[a-zA-Z]", word)) for word in words) > len(words)


def _is_damaged_utf_8(content: bytes) -> bool:
    """Whether nearly all letters outside ASCII are UTF-8: no other encoding gives such sequences by chance."""
    text = content.decode("utf-8", "replace")
    damaged = text.count("\ufffd")
    return damaged * 10 < sum(not character.isascii() for character in text)


def _decodes(content: bytes, encoding: str) -> bool:
    """Whether the content can be text in an encoding: without control characters, in the script that it is for."""
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        return False
    if encoding == "utf-8":
        return True
    script, share = _SCRIPTS.get(encoding, ("", 0))
    others = re.findall(r"[^\x00-\x7f]", text)
    return not re.search("[\x80-\x9f]", text) and len(re.findall(script, text)) >= share * len(others)
