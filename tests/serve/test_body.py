"""The limit on bodies, announced or not."""

import asyncio

import pytest

from lianlu.serve.body import BodyLimit


def post(parts: list[bytes], headers: list[tuple[bytes, bytes]]) -> tuple[int, bytes]:
    """(status, what the application read) of a POST whose body comes in `parts`."""
    messages = [
        {"type": "http.request", "body": part, "more_body": i + 1 < len(parts)}
        for i, part in enumerate(parts)
    ]
    sent: list[dict] = []

    async def app(scope, receive, send) -> None:
        body = await receive()
        assert (await receive())["type"] == "http.disconnect"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body["body"]})

    async def receive():
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/", "headers": headers}
    asyncio.run(BodyLimit(app, limit=10)(scope, receive, send))
    return sent[0]["status"], sent[1]["body"]


def test_what_fits_arrives_whole() -> None:
    assert post([b"abc", b"defg", b"hij"], []) == (200, b"abcdefghij")
    assert post([b""], [(b"content-length", b"0")]) == (200, b"")


@pytest.mark.parametrize(
    ("parts", "headers"),
    [
        ([b"x" * 11], []),
        ([b"x" * 6, b"x" * 6, b"x" * 99], []),
        ([], [(b"content-length", b"11")]),
        ([b"x" * 11], [(b"content-length", b"many")]),
    ],
)
def test_what_does_not_is_413(parts, headers) -> None:
    status, body = post(parts, headers)
    assert status == 413
    assert b"longer than 10 bytes" in body
