"""Who may ask: anybody of this machine, or, on other addresses, who knows the token.

A page on the web could send requests to 127.0.0.1 from a visitor's browser, also under a name of its own that leads there
(DNS rebinding). So without a token only this machine's names are answered to, and no page of another site.
"""

import hmac
import ipaddress
import os
from collections.abc import Collection
from pathlib import Path
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from umemma.errors import ParameterError
from umemma.serving.http.limits import Refused
from umemma.serving.http.replies import refusal

TOKEN = "UMEMMA_TOKEN"
OPEN = ("/", "/health", "/ready")  # tell nothing of the model, or of answers
_LEAST = 16
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Access:
    """Lets requests through to `app`, or answers them itself; `hosts` empty: any name of this server."""

    def __init__(self, app: ASGIApp, *, token: str | None, hosts: Collection[str]) -> None:
        self._app, self._hosts = app, hosts
        self._token = None if token is None else f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and (refused := self._refused(scope)) is not None:
            scope["app"].state.metrics.refused(refused.reason)
            await refusal(refused)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _refused(self, scope: Scope) -> Refused | None:
        headers = Headers(scope=scope)
        if self._hosts and _host(headers.get("host", "")) not in self._hosts:
            return Refused(
                421, "host", f"the server answers to {', '.join(self._hosts)}; for other names it needs a token"
            )
        if self._token is None and scope["method"] == "POST" and _is_of_another_page(headers):
            return Refused(403, "cross_site", "a page of another site may not ask")
        if self._token is None or scope["path"] in OPEN:
            return None
        if not hmac.compare_digest(headers.get("authorization", "").encode(), self._token):
            return Refused(401, "token", "the token is missing or wrong: send it as `Authorization: Bearer TOKEN`")
        return None


def is_loopback(host: str) -> bool:
    """Can only this machine reach the address?"""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def hosts(host: str, token: str | None) -> tuple[str, ...]:
    """Return the names that a server on `host` answers to; of one with a token any, as it may stand behind a proxy."""
    return () if token is not None else tuple(dict.fromkeys((*_LOOPBACK, host.lower())))


def token(file: Path | None) -> str | None:
    """Return the token of a file, else of the environment variable UMEMMA_TOKEN; None if there is neither.

    Raises ParameterError, which does not quote it, for one that is short or could not be sent.
    """
    try:
        written = os.environ.get(TOKEN) if file is None else file.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ParameterError(f"--token-file {file} cannot be read as text in ASCII") from error
    if written is None:
        return None
    if len(written) < _LEAST or not written.isascii() or not written.isprintable() or " " in written:
        where = TOKEN if file is None else file
        raise ParameterError(
            f"the token of {where} must be {_LEAST} or more letters and digits without blanks, as from `openssl rand -hex 16`"
        )
    return written


def _is_of_another_page(headers: Headers) -> bool:
    """Whether a page that is not the server's own has sent it; programs say nothing of a page.

    One of another port of this machine may be another user's. A token is known to no page but the one that it was typed in.
    """
    if (site := headers.get("sec-fetch-site")) is not None:
        return site not in ("same-origin", "none")
    origin = headers.get("origin")  # older browsers, and addresses that are neither https nor loopback
    return origin is not None and urlsplit(origin).netloc != headers.get("host")


def _host(header: str) -> str:
    try:
        return (urlsplit(f"//{header}").hostname or "").lower()
    except ValueError:
        return ""
