"""Formats nested values as YAML for a file in conf/, with comments.

Hand-written because no YAML writer puts comments beside flow mappings. Text that YAML could read as another type - a
class called `no`, a column called `1e5` - is quoted.
"""

import json
import re
from collections.abc import Mapping, Sequence

from umemma.errors import DataError

WIDTH = 116
_PLAIN = re.compile(r"[A-Za-z_][\w./-]*", re.ASCII)
_WORDS = {"true", "false", "yes", "no", "on", "off", "y", "n", "null", "nan", "inf"}


def flow(value: object) -> str:
    """Return a value as YAML on a single line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{flow(key)}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Sequence):
        return "[" + ", ".join(map(flow, value)) + "]"
    return json.dumps(value)


def line(indent: int, key: str, value: object, comment: str = "") -> str:
    """Return `key: value  # comment`, with a list that is too long for one line wrapped, a mapping on several."""
    start = f"{' ' * indent}{flow(key)}: "
    text = start + flow(value)
    if len(text) > WIDTH and isinstance(value, Mapping):
        head = start.rstrip() + (f"  # {comment}" if comment else "")
        return "\n".join([head, *(line(indent + 2, str(name), item) for name, item in value.items())])
    if len(text) > WIDTH and isinstance(value, Sequence) and not isinstance(value, str):
        text = start + "[" + f",\n{' ' * (indent + 2)}".join(_packed(list(map(flow, value)), WIDTH - indent - 4)) + "]"
    return text + (f"  # {comment}" if comment else "")


def _packed(items: Sequence[str], width: int) -> list[str]:
    """Join items into lines of at most `width` characters."""
    lines = [""]
    for item in items:
        joined = f"{lines[-1]}, {item}" if lines[-1] else item
        if len(joined) > width and lines[-1]:
            lines.append(item)
        else:
            lines[-1] = joined
    return lines


def _text(value: str) -> str:
    if "${" in value:
        raise DataError(f"{value!r} holds '${{', which conf/ would take for the name of a parameter; call it otherwise")
    if _PLAIN.fullmatch(value) and value.casefold() not in _WORDS:
        return value
    quoted = json.dumps(value, ensure_ascii=False)
    return re.sub(
        r"[^\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]",
        lambda match: f"\\u{ord(match[0]):04x}",
        quoted,
    )
