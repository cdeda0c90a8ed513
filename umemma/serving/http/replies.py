"""Replies as JSON: answers, and refusals as a sentence."""

from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse

from umemma.serving.http.limits import Refused

HEADERS = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
_LATER_SECONDS = "1"


def reply(content: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Return content as JSON."""
    return JSONResponse(content, status, {**HEADERS, **(headers or {})})


def refusal(refused: Refused) -> JSONResponse:
    """Return a refusal; what may succeed later says when to ask again."""
    headers = {"Retry-After": _LATER_SECONDS} if refused.status == 503 else {}
    if refused.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return reply({"error": refused.sentence, "reason": refused.reason}, refused.status, headers)
