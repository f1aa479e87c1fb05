import socket
from pathlib import Path

import pytest

from lianlu.errors import UserError
from lianlu.ui.serve import listen, serve


def test_a_port_in_use_is_a_mistake_with_advice(runs: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"port {port} .* in use") as caught:
            serve(runs, "demo", "127.0.0.1", port)
    assert "--port 0" in (caught.value.hint or "")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "example.org"])
def test_only_loopback_is_listened_on(host: str) -> None:
    with pytest.raises(UserError, match=r"loopback only"):
        listen(host, 0)


def test_a_port_that_may_not_be_taken_is_told() -> None:
    with pytest.raises(UserError, match="cannot listen"):
        listen("127.0.0.1", 99_999)


def test_an_unknown_run_or_folder_is_told_before_serving(runs: Path) -> None:
    with pytest.raises(UserError, match="no run 'nope'"):
        serve(runs, "nope", "127.0.0.1", 0)
    with pytest.raises(UserError, match="no such folder"):
        serve(runs / "none", None, "127.0.0.1", 0)


def test_it_says_where_it_is(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr("uvicorn.Server.run", lambda self, sockets: None)
    serve(runs, "demo", "127.0.0.1", 0, say=said.append)
    assert said[0].startswith("the console is at http://127.0.0.1:")
    assert "/runs/demo" in said[0]
