"""The addresses of the server."""

import base64
import hashlib
import re
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import HTMLResponse, Response

from umemma.errors import unknown
from umemma.serving.http import body
from umemma.serving.http.access import Access
from umemma.serving.http.limits import Refused
from umemma.serving.http.replies import HEADERS, refusal, reply
from umemma.serving.http.service import Service
from umemma.serving.model import COVERAGE

PAGE = Path(__file__).with_name("page.html")
_QUERY = ("coverage", "strict")


def app(service: Service, *, token: str | None = None, hosts: Collection[str] = ()) -> FastAPI:
    """Return the application; who may ask it is told in `access`."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.start()
        yield
        service.stop()

    facts = service.model.facts
    result = FastAPI(
        title=f"{facts.dataset}, {facts.arm}",
        version=service.model.digest[:12],
        lifespan=lifespan,
        docs_url=None,  # its pages load scripts from the web
        redoc_url=None,
        openapi_url="/openapi.json",
    )
    result.state.metrics = service.metrics
    _add_answers(result, service)
    _add_facts(result, service)
    _add_refusals(result, service)
    result.add_middleware(Access, token=token, hosts=hosts)
    return result


def _add_answers(app: FastAPI, service: Service) -> None:
    @app.post("/predict", openapi_extra={"requestBody": {"required": True, "content": _request(service)}})
    async def predict(
        request: Request,
        coverage: Annotated[float, Query(gt=0, lt=1, description="how often a set holds the truth")] = COVERAGE,
        strict: Annotated[bool, Query(description="refuse a request of which something could not be used")] = False,
    ) -> Response:
        """Answer one row or several, each from the modalities that it has."""
        for name in request.query_params.keys() - set(_QUERY):
            raise Refused(422, "query", unknown("/predict", "parameter", name[:200], _QUERY))
        return reply({"answers": await service.answers(request, coverage, strict=strict)})


def _request(service: Service) -> dict[str, Any]:
    row = service.cells.schema()
    rows = {"type": "array", "items": row, "minItems": 1, "maxItems": service.limits.rows}
    fields = {"type": "object", "properties": {name: {"type": "string"} for name in row["properties"]}}
    return {body.JSON: {"schema": {"anyOf": [row, rows]}}, body.FORM: {"schema": fields}}


def _add_facts(app: FastAPI, service: Service) -> None:
    model, page = service.model, PAGE.read_text("utf-8")
    about = {
        "digest": model.digest,
        **model.facts.model_dump(mode="json"),
        "limits": service.limits.model_dump(mode="json"),
        "measured": model.measured.model_dump(mode="json"),
    }
    schema = model.inputs.model_dump(mode="json")

    @app.get("/health")
    async def health() -> Response:
        """Is the server able to answer at all? If not, it is to be started anew."""
        is_alive = service.batching.is_alive
        return reply({"status": "ok" if is_alive else "the model's thread has ended"}, 200 if is_alive else 503)

    @app.get("/ready")
    async def ready() -> Response:
        """Would a request be answered now? If not, it should go elsewhere for a while."""
        return reply({"status": "ready" if service.is_ready else "busy"}, 200 if service.is_ready else 503)

    @app.get("/schema")
    async def inputs() -> Response:
        """Return schema.json of the model: what a row may hold."""
        return reply(schema)

    @app.get("/model")
    async def facts() -> Response:
        """Return what the model is, what each pattern was measured to be worth, and the limits of the server."""
        return reply(about)

    @app.get("/metrics")
    async def metrics() -> Response:
        """Return what was counted, for Prometheus."""
        return Response(service.metrics.text(), headers={**HEADERS, "Content-Type": CONTENT_TYPE_LATEST})

    @app.get("/", include_in_schema=False)
    async def try_by_hand() -> Response:
        return HTMLResponse(page, headers={**HEADERS, "Content-Security-Policy": _policy(page)})


def _policy(page: str) -> str:
    """Return a policy under which the page runs its own script, and loads nothing but answers."""
    own = {
        tag: base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        for tag, content in re.findall(r"<(script|style)>(.*?)</\1>", page, re.DOTALL)
    }
    return (
        f"default-src 'none'; script-src 'sha256-{own['script']}'; style-src 'sha256-{own['style']}'; connect-src 'self'; "
        "img-src blob: data:; media-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _add_refusals(app: FastAPI, service: Service) -> None:
    """Make a sentence of everything that goes wrong, and count it."""

    def refused(error: Refused) -> Response:
        service.metrics.refused(error.reason)
        return refusal(error)

    @app.exception_handler(Refused)
    async def own(_: Request, error: Refused) -> Response:
        return refused(error)

    @app.exception_handler(RequestValidationError)
    async def query(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:])
        return refused(Refused(422, "query", f"{where}: {first['msg']}, not {str(first['input'])[:60]!r}"))

    @app.exception_handler(HTTPException)
    async def address(request: Request, error: HTTPException) -> Response:
        paths = sorted({route.path for route in app.routes if hasattr(route, "path")})
        known = f"there are {', '.join(paths)}; answers are at POST /predict"
        sentence = f"there is no {request.method} {request.url.path[:60]}: {known}"
        response = refused(Refused(error.status_code, "address", sentence))
        response.headers.update(error.headers or {})  # which methods there are
        return response

    @app.exception_handler(ClientDisconnect)
    async def gone(_: Request, error: ClientDisconnect) -> Response:
        return refused(Refused(400, "disconnected", "the request was broken off"))

    @app.exception_handler(Exception)
    async def internal(_: Request, error: Exception) -> Response:
        return refused(Refused(500, "internal", "an error of the server; its log has more"))
