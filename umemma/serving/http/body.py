"""The body of a request as rows of named cells; one that can be read in two ways is refused.

JSON may have no name twice, no NaN and no number beyond a float's range. Nothing is unpacked: a body with a
Content-Encoding, which could be a bomb, is refused.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request

from umemma.serving.http.form import from_form
from umemma.serving.http.limits import Limits, Refused, option, over

JSON, FORM = "application/json", "multipart/form-data"
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")  # half of a character beyond 16 bits, as an escape
_UTF_8 = re.compile(r'charset="?utf-?8"?')
_SHOWN = 60
Row = Mapping[str, object]


async def read(request: Request, limits: Limits) -> bytes:
    """Return the body. Refuses one that is compressed, or too large as soon as that is known."""
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise Refused(415, "content_encoding", "the body is compressed: send it as it is, without Content-Encoding")
    declared = request.headers.get("content-length", "0")
    too_large = over(limits, "request_bytes", "the body has too many bytes")
    if not declared.isdecimal() or len(declared) > 18 or int(declared) > limits.request_bytes:
        raise too_large
    parts, size = [], 0
    async for part in request.stream():
        if (size := size + len(part)) > limits.request_bytes:
            raise too_large
        parts.append(part)
    if not size:
        raise Refused(400, "empty", 'the body is empty: send a row as JSON, {"name": value, ...}, or a form')
    return b"".join(parts)


def kind(request: Request) -> str:
    """Return `JSON` or `FORM`. Refuses anything else."""
    written = request.headers.get("content-type", "")
    found, *parameters = (part.strip().lower() for part in written.split(";"))
    charsets = [part for part in parameters if part.startswith("charset")]
    if found not in (JSON, FORM) or any(_UTF_8.fullmatch(part) is None for part in charsets):
        raise Refused(415, "content_type", f"the Content-Type is {written[:_SHOWN]!r}: send {JSON} or {FORM}, in UTF-8")
    return found


def rows(kind: str, content_type: str, content: bytes, limits: Limits) -> list[Row]:
    """Return the rows of a body of this `kind`: of JSON an object or a list of objects, of a form one."""
    return [from_form(content_type, content)] if kind == FORM else _from_json(content, limits)


def _from_json(content: bytes, limits: Limits) -> list[Row]:
    try:
        text = content.decode()
        value = json.loads(text, object_pairs_hook=_unique, parse_float=_finite, parse_constant=_constant)
        if _SURROGATE.search(content):
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeError as error:
        raise Refused(400, "json", "the body is no Unicode text: JSON is sent in UTF-8") from error
    except json.JSONDecodeError as error:
        raise Refused(400, "json", f"the body is no JSON: {error}") from error
    except RecursionError as error:
        raise _too_deep(limits) from error
    except ValueError as error:
        raise Refused(400, "json", "the body holds a number with too many digits") from error
    _check_depth(value, limits)
    found = value if isinstance(value, list) else [value]
    for number, row in enumerate(found, start=1):
        if not isinstance(row, dict):
            raise Refused(422, "row", f"row {number} is no object {{name: value, ...}}, but {_shown(row)}")
    if not found:
        raise Refused(422, "row", "the list has no rows")
    if len(found) > limits.rows:
        raise over(limits, "rows", f"there are {len(found):,} rows")
    return found


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise Refused(400, "twice", f"an object has the name {_shown(twice)} twice")
    return result


def _finite(written: str) -> float:
    if not math.isfinite(value := float(written)):
        raise Refused(400, "json", f"{written[:_SHOWN]} is beyond the range of a number")
    return value


def _constant(written: str) -> float:
    raise Refused(400, "json", f"{written} is no JSON: leave out what was not measured, or send null")


def _check_depth(value: Any, limits: Limits) -> None:
    level = [value]
    for _ in range(limits.depth):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
    if level:
        raise _too_deep(limits)


def _too_deep(limits: Limits) -> Refused:
    return Refused(400, "depth", f"lists and objects lie more than {limits.depth} deep ({option('depth')})")


def _shown(value: object) -> str:
    if isinstance(value, dict | list):
        return f"a {'list' if isinstance(value, list) else 'object'}"
    quoted = repr(value[:_SHOWN] if isinstance(value, str) else value)
    return quoted if len(quoted) <= _SHOWN else f"{quoted[:_SHOWN]}..."
