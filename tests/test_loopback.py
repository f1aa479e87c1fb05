"""Names of this machine, with and without a port, and names that only look like it."""

import pytest

from lianlu.loopback import asks_loopback, is_loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_this_machine(host: str) -> None:
    assert is_loopback(host)
    written = f"[{host}]" if ":" in host else host
    assert asks_loopback(written)
    assert asks_loopback(f"{written}:8000")


@pytest.mark.parametrize(
    "host", ["", "0.0.0.0", "10.0.0.1", "example.org", "localhost.example.org", "127.0.0.1.nip.io"]
)
def test_others(host: str) -> None:
    assert not is_loopback(host)
    assert not asks_loopback(host)
    assert not asks_loopback(f"{host}:8000")


@pytest.mark.parametrize("header", ["[::1", "[x]", "example.org#localhost", "//localhost"])
def test_what_is_no_host(header: str) -> None:
    assert not asks_loopback(header)
