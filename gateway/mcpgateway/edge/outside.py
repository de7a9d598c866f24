"""What a gateway is called outside of the proxies in front of it: the host, and the prefix of its paths.

An Ingress has no portable way to take a prefix away, so requests are served below the configured prefixes and without them.
What a proxy says of the outside (RFC 7239, and the older X-Forwarded fields) is believed only if the connection comes from one of
the trusted addresses, and of a chain of proxies only the nearest one. The outside scheme is not needed: the only address that is
sent to clients, in the first event of /sse, is a path.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import Any, Final

from ..access.credentials import host_name
from ..config import Config, Route
from ..protocol.exchange import RequestHeaders
from .request_head import RequestHead

_QUOTE, _COMMA = b'",'
_HOST: Final = re.compile(rb'(?:^|[;\s])host=(?:"([^"\\]*)"|([^;\s"]+))', re.IGNORECASE)
# Segments that are not empty: a path that begins with two slashes would name another host.
_PREFIX: Final = re.compile(rb"(?:/[-A-Za-z0-9._~!$&'()*+,;=:@%]+)*")


def resolve(head: RequestHead, peer: Any, config: Config) -> bytes:
    """Give a request its outside host and prefix; `peer` is the socket's address. Returns: the path without the prefix."""
    stripped = None
    if config.trusted_proxies and _trusted(str(peer[0]) if peer else "", config.trusted_proxies):
        host, stripped = _host(head.fields), _stripped_prefix(head.fields)
        if host:
            head.fields = {**head.fields, b"host": host}
    for route in config.routes:
        prefix = route.path.encode()
        if prefix and head.path.startswith(prefix + b"/"):
            head.prefix = (stripped or b"") + prefix
            return head.path[len(prefix) :]
    head.prefix = _of_host(head.fields, config.routes) if stripped is None else stripped
    return head.path


def _of_host(fields: RequestHeaders, routes: tuple[Route, ...]) -> bytes:
    """The prefix below which a host leads here, for a proxy that has taken it away without a word."""
    if not routes:
        return b""
    host = host_name(fields.get(b"host", b""))
    paths = [route.path for route in routes if route.host == host]
    return paths[0].encode() if paths and "" not in paths else b""


@lru_cache(maxsize=1024)
def _trusted(address: str, networks: tuple[str, ...]) -> bool:
    try:
        peer = ipaddress.ip_address(address)
    except ValueError:
        return False
    peer = getattr(peer, "ipv4_mapped", None) or peer
    return any(peer in ipaddress.ip_network(network, strict=False) for network in networks)


def _host(fields: RequestHeaders) -> bytes:
    """The host that the nearest proxy was asked for; empty if it says nothing, or two: one of them may be its client's."""
    match = _HOST.search(_last_element(fields.get(b"forwarded", b"")))
    hosts = {(match[1] or match[2]) if match else b"", _last(fields.get(b"x-forwarded-host", b""))} - {b""}
    return hosts.pop() if len(hosts) == 1 else b""


def _last_element(value: bytes) -> bytes:
    """What the nearest proxy has appended to the field Forwarded, whatever its client has sent before (RFC 7239 section 4)."""
    quoted = False
    for at in range(len(value) - 1, -1, -1):  # from the end: only there quotes are known to be the proxy's, and in pairs
        if value[at] == _QUOTE:
            quoted = not quoted
        elif value[at] == _COMMA and not quoted:
            return value[at + 1 :]
    return value


def _stripped_prefix(fields: RequestHeaders) -> bytes | None:
    """The prefix that the nearest proxy has taken away; None if it says nothing, or no path."""
    value = fields.get(b"x-forwarded-prefix")
    prefix = None if value is None else _last(value).rstrip(b"/")
    return prefix if prefix is not None and _PREFIX.fullmatch(prefix) else None


def _last(value: bytes) -> bytes:
    return value.rpartition(b",")[2].strip(b" \t")
