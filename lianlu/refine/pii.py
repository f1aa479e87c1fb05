"""Personal data and secrets in text: found, counted, masked.

Every kind has one pattern and, where the format carries a checksum or reserved values, a test that
the match must pass: fewer version numbers called IP addresses, fewer long numbers called cards.
Reserved values (example.com, 127.0.0.1, 555-01xx) are nobody's and stay.
"""

import base64
import binascii
import ipaddress
import json
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass

# Top-level domains, so that `matrix@other.shape` stays code: the common long ones and two letters.
_TLD = r"(?:com|org|net|edu|gov|mil|int|info|biz|name|dev|app|io|[a-z]{2})"
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Kind:
    """One kind of personal data; `hint` must occur in a text before its pattern is tried."""

    name: str
    pattern: re.Pattern[str]
    hint: str = ""
    valid: Callable[[str], bool] = lambda found: True


def _email(found: str) -> bool:
    domain = found.rpartition("@")[2].lower()
    return not re.search(r"(^|\.)(example|test|invalid|localhost)(\.|$)", domain)


def _public_ip(found: str) -> bool:
    try:
        address = ipaddress.ip_address(found)
    except ValueError:
        return False
    # 1.2.3.4 and 10.0.0.1 are examples and version numbers far more often than somebody's home.
    return address.is_global and max(int(part) for part in found.split(".")) > 31


def _phone(found: str) -> bool:
    digits = re.sub(r"\D", "", found)
    return 8 <= len(digits) <= 15 and "55501" not in digits


def luhn(found: str) -> bool:
    """The check digit of payment cards (ISO/IEC 7812-1)."""
    digits = [int(c) for c in found if c.isdigit()]
    doubled = [sum(divmod(2 * d, 10)) for d in digits[-2::-2]]
    return (
        13 <= len(digits) <= 19 and len(set(digits)) > 1 and (sum(digits[::-2] + doubled) % 10 == 0)
    )


def resident_id(found: str) -> bool:
    """The check character of Chinese resident numbers (GB 11643, ISO 7064 mod 11-2)."""
    total = sum(int(c) * pow(2, 17 - i, 11) for i, c in enumerate(found[:17]))
    return "10X98765432"[total % 11] == found[17].upper()


def _github_token(found: str) -> bool:
    """The last six characters are the CRC-32 of the others, in base 62."""
    value, digits = zlib.crc32(found[4:-6].encode()), ""
    while value:
        value, digit = divmod(value, 62)
        digits = _BASE62[digit] + digits
    return digits.rjust(6, "0") == found[-6:]


def _json_web_token(found: str) -> bool:
    head = found.partition(".")[0]
    try:
        return "alg" in json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except (binascii.Error, ValueError, TypeError):
        return False


_KINDS = (
    Kind(
        "key",
        re.compile(
            r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----(?:[^-]|-(?!----)){1,5000}"
            r"-----END [A-Z ]*KEY-----"
        ),
        "PRIVATE KEY",
    ),
    Kind("key", re.compile(r"\bgh[pousr]_[0-9A-Za-z]{36}\b"), "gh", _github_token),
    Kind("key", re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"), "IA"),
    Kind("key", re.compile(r"\b(?:sk-(?:[a-z]+-)?|hf_|xox[abp]-)[0-9A-Za-z_-]{30,200}\b")),
    Kind(
        "key",
        re.compile(r"(?<![\w-])eyJ[\w-]{10,500}\.eyJ[\w-]{10,2000}\.[\w-]{10,1000}"),
        "eyJ",
        _json_web_token,
    ),
    Kind(
        "email",
        re.compile(
            r"\b[a-z0-9][\w.+-]{0,63}@(?:[a-z0-9][a-z0-9-]{0,62}\.){1,4}" + _TLD + r"\b", re.I
        ),
        "@",
        _email,
    ),
    Kind(
        "ip",
        re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.]*\d)"),
        ".",
        _public_ip,
    ),
    Kind("id", re.compile(r"\b[1-9]\d{5}(?:19|20)\d{9}[\dXx]\b"), "", resident_id),
    Kind(
        "card",
        re.compile(r"(?<![\w.-])[3-6]\d{3}[ -]?(?:\d{4}[ -]?){2}\d{1,7}(?![\w.-])"),
        "",
        luhn,
    ),
    Kind(
        "phone",
        re.compile(
            r"(?<![\w+.-])(?:\+[1-9]\d{0,2}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d{2,4}(?:[ .-]\d{2,8}){1,4}"
            r"|\(\d{3}\) ?\d{3}-\d{4}|\b1[3-9]\d-\d{4}-\d{4})(?![\w-])"
        ),
        "",
        _phone,
    ),
)
KINDS = ("email", "ip", "phone", "key", "card", "id")


def find(text: str) -> list[tuple[int, int, str]]:
    """`(start, end, kind)` of every piece of personal data, in order, without overlaps."""
    found: list[tuple[int, int, str]] = []
    for kind in _KINDS:
        if kind.hint in text:
            for match in kind.pattern.finditer(text):
                if kind.valid(match[0]):
                    found.append((*match.span(), kind.name))
    found.sort(key=lambda span: (span[0], -span[1]))
    apart: list[tuple[int, int, str]] = []
    for span in found:
        if not apart or span[0] >= apart[-1][1]:
            apart.append(span)
    return apart


def mask(text: str, spans: list[tuple[int, int, str]]) -> str:
    """The text with every span replaced by the name of its kind, as `<email>`."""
    parts, end = [], 0
    for start, stop, kind in spans:
        parts += [text[end:start], f"<{kind}>"]
        end = stop
    return "".join([*parts, text[end:]])
