"""Bodies of requests that are too long are refused before they fill the memory."""

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class BodyLimit:
    """ASGI middleware: 413 as soon as more than `limit` bytes are announced or have come."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self.app = app
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        body = b""
        more = not announced.isdigit() or int(announced) <= self.limit
        too_long = not more
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return  # the client has gone
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if too_long := len(body) > self.limit:
                break
        if too_long:
            text = f"the body is longer than {self.limit} bytes"
            error = {"message": text, "type": "invalid_request_error", "param": None, "code": None}
            await JSONResponse({"error": error}, status_code=413)(scope, receive, send)
            return
        await self.app(scope, _Replay(body, receive), send)


class _Replay:
    """Gives the body that was read once more, then whatever the server says (a disconnect)."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self.message: Message | None = {"type": "http.request", "body": body, "more_body": False}
        self.receive = receive

    async def __call__(self) -> Message:
        message, self.message = self.message, None
        return message if message is not None else await self.receive()
