"""The console as a Starlette application: pages, server-sent events, chat."""

from collections.abc import AsyncIterator
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.responses import StreamingResponse as Stream
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lianlu.errors import UserError
from lianlu.loopback import asks_loopback
from lianlu.ui.chat import MAX_CHARS, Ask, answer, ask_model, read_messages
from lianlu.ui.live import changes, sse
from lianlu.ui.pages import HERE, error_page, index_page, run_page
from lianlu.ui.plotly import plotly_script
from lianlu.ui.reader import run_folder
from lianlu.ui.words import choose_language

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


def create_app(
    runs: Path, run: str | None = None, chat_url: str | None = None, ask: Ask | None = None
) -> Starlette:
    """The console over a folder of runs.

    The chat box works on the page of `run` (of every run, if None): with `ask`, an agent; else
    with `chat_url`, the root of an OpenAI server; else it says how to start one.
    """
    talk = ask or (ask_model(chat_url) if chat_url else None)

    def chat_of(name: str) -> str:
        if talk is None or run not in (None, name):
            return "none"
        return "agent" if ask else "model"

    def index(request: Request) -> Response:
        return HTMLResponse(index_page(runs, _language(request)))

    def page(request: Request) -> Response:
        name = request.path_params["name"]
        return HTMLResponse(run_page(runs, name, _language(request), chat_of(name)))

    def events(request: Request) -> Response:
        name = request.path_params["name"]
        run_folder(runs, name)
        seen = request.headers.get("last-event-id") or request.query_params.get("seen", "")
        closing = request.app.state.closing
        return _stream(changes(runs, name, _language(request), seen, closing))

    async def chat(request: Request) -> Response:
        if talk is None or chat_of(request.path_params["name"]) == "none":
            return JSONResponse({"error": "no model is served for this run"}, 409)
        try:
            messages = read_messages(await _body(request))
        except UserError as error:
            return JSONResponse({"error": str(error)}, 400)
        return _stream(sse(event) async for event in answer(talk, messages))

    app = Starlette(
        routes=[
            Route("/", index),
            Route("/runs/{name}", page),
            Route("/runs/{name}/events", events),
            Route("/runs/{name}/chat", chat, methods=["POST"]),
            Route("/static/plotly.min.js", lambda request: FileResponse(plotly_script())),
            Mount("/static", StaticFiles(directory=HERE / "static")),
        ],
        middleware=[Middleware(Guard)],
        exception_handlers={UserError: _no_run, HTTPException: _http_error},
    )
    # Whoever serves this may say when it ends, so that open event streams end with it.
    app.state.closing = lambda: False
    return app


class Guard:
    """Lets in what was asked of a loopback name, by a page of ours; adds the security headers.

    The Host check stops DNS rebinding: a foreign page whose name now points to this machine.
    The Origin check stops a foreign page from posting here.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                told = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": [*message["headers"], *told]}
            await send(message)

        host, origin = headers.get("host", ""), headers.get("origin")
        app: ASGIApp = self.app
        if not asks_loopback(host):
            app = Response("this console answers on loopback names only", 421)
        elif origin is not None and origin != f"http://{host}":
            app = Response("asked by a page of another site", 403)
        await app(scope, receive, guarded)


async def _body(request: Request) -> bytes:
    """The body, refused when it is larger than any dialogue may be."""
    if request.headers.get("content-type", "").split(";")[0] != "application/json":
        raise UserError("the request's content type must be application/json")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > 8 * MAX_CHARS:
            raise UserError("the request is too large", "begin a new dialogue")
    return body


def _stream(events: AsyncIterator[str]) -> Stream:
    return Stream(events, media_type="text/event-stream", headers={"cache-control": "no-store"})


def _language(request: Request) -> str:
    accepted = request.headers.get("accept-language", "")
    return choose_language(request.query_params.get("lang"), accepted)


def _no_run(request: Request, error: Exception) -> Response:
    assert isinstance(error, UserError)
    page = error_page(_language(request), 404, error.message, error.hint or "")
    return HTMLResponse(page, 404)


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    page = error_page(_language(request), error.status_code, error.detail, "")
    return HTMLResponse(page, error.status_code, headers=error.headers)
