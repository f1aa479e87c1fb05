"""A hub on loopback that speaks both hubs' protocols over files held in memory."""

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

COMMIT = "c0ffee" + "0" * 34


class FakeHub:
    """`files` is what every id holds; the other fields make it behave badly."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {
            "config.json": b'{"model_type": "llama"}',
            "model.safetensors": bytes(range(256)) * 4096,
            "tokenizer.json": b"{}",
            "empty.txt": b"",
            "pytorch_model.bin": b"a pickle",
            "modeling_own.py": b"raise SystemExit('code ran')",
            "onnx/config.json": b"{}",
        }
        self.break_after: int | None = None  # bytes of the next large answer
        self.corrupt = False
        self.status = 200
        self.empty_answer = False
        self.ranges = True
        self.asked: list[tuple[str, str | None]] = []
        self.tokens: list[str | None] = []
        self.url = ""

    def listing(self, url: str) -> object:
        if url.startswith("/api/v1/"):
            entries = [
                {
                    "Path": path,
                    "Size": len(data),
                    "Sha256": hashlib.sha256(data).hexdigest(),
                    "Type": "blob",
                }
                for path, data in self.files.items()
            ]
            if "/repo/tree" in url:  # data sets, in pages
                page = int(parse_qs(urlsplit(url).query)["PageNumber"][0])
                entries = entries[(page - 1) * 200 : page * 200]
            folder = {"Path": "onnx", "Size": 0, "Sha256": "", "Type": "tree"}
            return {
                "Code": 200,
                "Data": None if self.empty_answer else {"Files": [*entries, folder][:200]},
            }
        return {
            "sha": COMMIT,
            "siblings": [
                {"rfilename": path, "size": len(data), **_digests(data)}
                for path, data in self.files.items()
            ],
        }


def _digests(data: bytes) -> dict[str, object]:
    blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
    if len(data) < 1000:
        return {"blobId": blob}
    return {"blobId": blob, "lfs": {"sha256": hashlib.sha256(data).hexdigest()}}


def _handler(hub: FakeHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            hub.asked.append((self.path, self.headers["Range"]))
            hub.tokens.append(self.headers["Authorization"])
            path = urlsplit(self.path).path
            if hub.status != 200:
                return self.answer(hub.status, b"")
            if "/resolve/" in path:
                return self.file(unquote(path.rpartition(f"{COMMIT}/")[2]))
            if "FilePath=" in self.path:
                return self.file(parse_qs(urlsplit(self.path).query)["FilePath"][0])
            self.answer(200, json.dumps(hub.listing(self.path)).encode())

        def file(self, name: str) -> None:
            data = hub.files[name]
            if hub.corrupt:
                data = data[:-1] + b"?"
            start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
            if hub.ranges:
                self.answer(206, data[start:])
            else:
                self.answer(200, data)

        def answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if hub.break_after is not None and len(body) > hub.break_after:
                body, hub.break_after = body[: hub.break_after], None
                self.close_connection = True
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHub]:
    fake = FakeHub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(fake))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    fake.url = f"http://127.0.0.1:{server.server_address[1]}"
    monkeypatch.setenv("HF_ENDPOINT", fake.url)
    monkeypatch.setenv("MODELSCOPE_ENDPOINT", fake.url)
    monkeypatch.setenv("LIANLU_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    yield fake
    server.shutdown()
    thread.join()
    server.server_close()
