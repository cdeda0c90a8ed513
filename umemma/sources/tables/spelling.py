"""When two spellings of a label are one class: `dataset.options.spellings`.

| value | one class |
|---|---|
| exact | what is equal after blanks at the ends are cut off |
| form | also in different Unicode forms, with other blanks or invisible characters, and whole numbers with `.0` |
| case | also in capitals and small letters |

`form` is the default: nobody sees these differences, and they come from programs (macOS decomposes accents, pandas
writes 1.0 beside a hole, Excel leaves no-break spaces). Capitals may mean something, as in letters to be recognised.
"""

import re
import unicodedata
from collections.abc import Mapping

LEVELS = ("exact", "form", "case")
_INVISIBLE = dict.fromkeys(map(ord, "\u00ad\u200b\u200e\u200f\u2060\ufeff"))
_WHOLE = re.compile(r"([+-]?\d+)\.0+", re.ASCII)


def plain(name: str, level: str) -> str:
    """Return what two spellings of one class have in common at a level."""
    if level == "exact":
        return name
    visible = " ".join(unicodedata.normalize("NFC", name).translate(_INVISIBLE).split())
    whole = _WHOLE.fullmatch(visible)
    visible = whole[1] if whole else visible
    return unicodedata.normalize("NFC", visible.casefold()) if level == "case" else visible


def variants(counts: Mapping[str, int], level: str) -> dict[str, tuple[str, ...]]:
    """Return {class: its spellings, the commonest first}; a class is called by the commonest."""
    by_plain: dict[str, list[str]] = {}
    for name in sorted(counts, key=lambda name: (-counts[name], name)):
        by_plain.setdefault(plain(name, level), []).append(name)
    return {plain(names[0], "exact" if level == "exact" else "form"): tuple(names) for names in by_plain.values()}
