"""How the server is opened, guarded and refused."""

import threading
import time
from pathlib import Path

import httpx
import openai
import pytest

from lianlu.errors import UserError
from lianlu.serve.app import serve
from lianlu.serve.config import ServeConfig

MESSAGES = [{"role": "user", "content": "What does os.path.join do?"}]


def test_overload_keys_and_ports(model_dir: Path, tmp_path: Path, start_server) -> None:
    keys = tmp_path / "keys"
    keys.write_text("first\n\nsecond\n")
    server = start_server(max_requests=1, api_key_file=str(keys))
    try:
        port = int(server.url.rsplit(":", 1)[1])
        with pytest.raises(UserError, match="in use"):
            serve(model_dir, ServeConfig(port=port))
        assert httpx.get(f"{server.url}/health").status_code == 200
        for path in ("/v1/models", "/metrics"):
            refused = httpx.get(f"{server.url}{path}", headers={"authorization": "Bearer third"})
            assert refused.status_code == 401
            assert refused.json()["error"]["code"] == "invalid_api_key"
        with openai.OpenAI(base_url=f"{server.url}/v1", api_key="second", max_retries=0) as client:
            assert client.models.list().data
            assert server.engine is not None
            run, go = server.engine.runner.run, threading.Event()
            server.engine.runner.run = lambda chunks: (go.wait(5), run(chunks))[1]
            asked = {"model": "model", "messages": MESSAGES, "max_tokens": 2}
            with pytest.raises(openai.BadRequestError, match="at most 2"):
                client.chat.completions.create(**asked, n=3)
            under_way = threading.Thread(
                target=client.chat.completions.create, kwargs={**asked, "n": 2}
            )
            under_way.start()
            while not server.engine.scheduler.full:
                time.sleep(0.001)
            with pytest.raises(openai.RateLimitError) as refused_load:
                client.chat.completions.create(**asked)
            assert int(refused_load.value.response.headers["retry-after"]) >= 1
            go.set()
            under_way.join()
            assert client.chat.completions.create(**asked).choices
        assert server.idle()
    finally:
        server.stop()


@pytest.mark.parametrize("host", ["example.org", "example.org:8000", "127.0.0.1.nip.io", ""])
def test_a_foreign_name_for_this_machine_is_refused(server, host: str) -> None:
    """A page whose name was made to point here (DNS rebinding) sends its own name."""
    body = {"model": "model", "messages": MESSAGES, "max_tokens": 1}
    for method, path, content in (
        ("GET", "/v1/models", None),
        ("GET", "/metrics", None),
        ("POST", "/v1/chat/completions", body),
    ):
        url = f"{server.url}{path}"
        refused = httpx.request(method, url, json=content, headers={"host": host})
        assert refused.status_code == 421
        assert "loopback" in refused.json()["error"]["message"]


def test_with_keys_any_name_may_be_used(model_dir: Path, tmp_path: Path, start_server) -> None:
    keys = tmp_path / "keys"
    keys.write_text("first\n")
    server = start_server(api_key_file=str(keys))
    try:
        headers = {"host": "models.example.org", "authorization": "Bearer first"}
        assert httpx.get(f"{server.url}/v1/models", headers=headers).status_code == 200
    finally:
        server.stop()


def test_what_serve_refuses(model_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="API key"):
        serve(model_dir, ServeConfig(host="0.0.0.0", port=0))
    empty = tmp_path / "keys"
    empty.write_text("\n")
    with pytest.raises(UserError, match="holds no key"):
        serve(model_dir, ServeConfig(port=0, api_key_file=empty))
    with pytest.raises(UserError, match="api_key_file"):
        serve(model_dir, ServeConfig(port=0, api_key_file=tmp_path / "missing"))
    with pytest.raises(UserError, match=r"config\.json"):
        serve(tmp_path, ServeConfig(port=0))
    empty.write_text("key")
    with pytest.raises(UserError, match="cannot listen"):  # nobody's address (RFC 5737)
        serve(model_dir, ServeConfig(host="192.0.2.1", port=0, api_key_file=empty))
