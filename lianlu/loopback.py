"""Which names and addresses mean this machine, and only to itself."""

import ipaddress
from urllib.parse import urlsplit


def is_loopback(host: str) -> bool:
    """Of a name or an address without its port."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def asks_loopback(header: str) -> bool:
    """Whether a request's Host header names this machine.

    A server without a login must refuse all others: a foreign page's own name may be made to point
    to this machine (DNS rebinding), and a browser would let that page read the answers.
    """
    try:
        return is_loopback(urlsplit(f"//{header}").hostname or "")
    except ValueError:
        return False
