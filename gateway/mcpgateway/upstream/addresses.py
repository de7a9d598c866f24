"""Where a server is said to be. A place that cannot exist is that server's failure, and nothing else's."""

from __future__ import annotations

from ..protocol.errors import Failure, Reason, UpstreamError

_MAX_SHOWN = 200  # characters of an address in a message


def invalid_address(server: str, address: str, problem: str) -> UpstreamError:
    """The error for an address that cannot be used; no user information or query is repeated in it."""
    shown = address.rpartition("@")[2].partition("?")[0][:_MAX_SHOWN]
    return UpstreamError(Failure(server, Reason.INVALID_ADDRESS, f"{shown!r} cannot be used: {problem}"))


def check_host(server: str, address: str, host: str) -> None:
    """Whether a host's name can be looked up (RFC 1035 section 2.3.4: labels of 1 to 63). Raises: UpstreamError."""
    try:
        host.encode("idna")
    except UnicodeError:
        raise invalid_address(server, address, "each part of a host's name has 1 to 63 characters") from None
    if not host or any(ord(char) <= 32 for char in host):
        raise invalid_address(server, address, "it names no host")


def parse_address(server: str, address: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT`, an IPv6 address in brackets. Raises: UpstreamError (InvalidAddress)."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) < 65536):
        raise invalid_address(server, address, "it needs a port from 1 to 65535")
    check_host(server, address, host)
    return host, int(port)
