"""Personal data: found where it is real, left alone where it only looks so."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lianlu.refine.pii import find, luhn, mask, resident_id


def _token() -> str:
    """A GitHub-style token made here, with its checksum."""
    body, digits = "aB3" * 10, ""
    value = zlib.crc32(body.encode())
    alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    while value:
        value, digit = divmod(value, 62)
        digits = alphabet[digit] + digits
    return "gh" + "p_" + body + digits.rjust(6, "0")


TOKEN = _token()
JWT = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.c2lnbmF0dXJlLW9mLWl0"
KEY = "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIB\n-----END RSA PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Write to Ada.L+x@mail.lovelace.org.", "Write to <email>."),
        ("from 93.184.216.34:80", "from <ip>:80"),
        ("call +49 30 1234567 or (212) 867-5309", "call <phone> or <phone>"),
        ("card 4111 1111 1111 1111!", "card <card>!"),
        ("身份证 11010519491231002X。", "身份证 <id>。"),
        (f"token {TOKEN} leaked", "token <key> leaked"),
        (f"Bearer {JWT}", "Bearer <key>"),
        (f"{KEY} end", "<key> end"),
        ("AKIA" + "IOSFODNN7EXAMPLE", "<key>"),
    ],
)
def test_masked(text: str, masked: str) -> None:
    assert mask(text, find(text)) == masked


@pytest.mark.parametrize(
    "text",
    [
        "user@example.com and root@localhost",
        "y = a@other.shape",
        "127.0.0.1, 192.168.1.1, 10.0.0.255, version 1.2.3.4, 1.2.3.4.5",
        "999.999.999.999",
        "4111 1111 1111 1112",
        "110105194912310021",
        TOKEN[:-1] + ("0" if TOKEN[-1] != "0" else "1"),
        "2026-11-23 20:11:30 and 1,234,567 and 3.14159265358979",
        "+1 202 555 0142",
    ],
)
def test_left_alone(text: str) -> None:
    assert find(text) == []


def test_check_digits() -> None:
    assert luhn("5500 0000 0000 0004")
    assert not luhn("0000 0000 0000 0000")
    assert resident_id("440524188001010014")


@given(st.text(max_size=200))
def test_spans_are_apart_and_in_order(text: str) -> None:
    end = 0
    for start, stop, _ in find(text):
        assert end <= start < stop <= len(text)
        end = stop


def test_a_key_ends_where_its_own_end_is() -> None:
    body = f"Proc-Type: 4,ENCRYPTED\n{'QUJD' * 20}"
    key = f"-----BEGIN RSA PRIVATE KEY-----\n{body}\n-----END RSA PRIVATE KEY-----"
    assert [kind for _, _, kind in find(f"{key}\n{key}")] == ["key", "key"]
    assert find("-----BEGIN PRIVATE KEY-----\n" + "A" * 5001 + "\n-----END PRIVATE KEY-----") == []
