"""How requests leave to a remote server: which certificate authorities are trusted, and through which proxy.

Sources: RFC 9110 section 9.3.6 (CONNECT); golang.org/x/net/http/httpproxy for the forms of NO_PROXY.
"""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import Iterable
from pathlib import Path
from typing import Final, TypedDict

import aiohttp
from yarl import URL

from ...config import Proxy, Server
from ...protocol.errors import Failure, Reason, UpstreamError

_MAX_CREDENTIALS: Final = 4 << 10  # characters


class Route(TypedDict, total=False):
    """Arguments of a request."""

    ssl: ssl.SSLContext
    proxy: str
    proxy_auth: aiohttp.BasicAuth


class Outbound:
    """The way of one server's requests. Its files are read again when they change."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._trust: ssl.SSLContext | None = None
        self._version: tuple[int, ...] = ()  # of the file that it was read from

    async def refresh(self) -> None:
        """Read changed certificate authorities. Raises: UpstreamError (MissingReference, InvalidCABundle)."""
        server = self._server
        if not server.ca_file:
            return
        reference = server.ca_reference or server.ca_file
        try:
            version = _version(server.ca_file)
            if version != self._version:
                self._trust = await asyncio.to_thread(_trusting, server.ca_file)  # reads the public ones, too: 10 ms or more
                self._version = version
        except ssl.SSLError:
            words = f"no certificates in PEM: {reference}"
            raise UpstreamError(Failure(server.name, Reason.INVALID_CA_BUNDLE, words)) from None
        except (OSError, ValueError):  # a path with a NUL is no path
            raise UpstreamError(Failure(server.name, Reason.MISSING_REFERENCE, f"not there: {reference}")) from None

    def route(self, url: URL) -> Route:
        """For a request to a URL. Raises: UpstreamError (MissingReference)."""
        route = Route()
        if self._trust is not None:
            route["ssl"] = self._trust
        proxy = self._server.proxy
        if proxy is not None and not bypassed(url, proxy.no_proxy):
            route["proxy"] = proxy.url
            if proxy.file:
                route["proxy_auth"] = self._credentials(proxy)
        return route

    def _credentials(self, proxy: Proxy) -> aiohttp.BasicAuth:
        try:
            text = Path(proxy.file).read_text(encoding="utf-8")[:_MAX_CREDENTIALS].strip()
        except (OSError, ValueError):  # also of bytes that are no UTF-8
            words = f"not there: {proxy.reference or proxy.file}"
            raise UpstreamError(Failure(self._server.name, Reason.MISSING_REFERENCE, words)) from None
        user, _, password = text.partition(":")
        return aiohttp.BasicAuth(user, password, encoding="utf-8")


def bypassed(url: URL, patterns: Iterable[str]) -> bool:
    """Whether a URL is reached without the proxy."""
    host, port = (url.host or "").lower().rstrip("."), url.port
    return any(_matches(host, port, pattern.lower()) for pattern in patterns)


def _matches(host: str, port: int | None, pattern: str) -> bool:
    if pattern == "*":
        return True
    if "/" in pattern or pattern.count(":") > 1:
        return _inside(host, pattern.strip("[]"))
    name, _, only = pattern.partition(":")
    if only and only != str(port):
        return False
    name = name.removeprefix("*")
    return host.endswith(name) if name.startswith(".") else host == name or host.endswith(f".{name}")


def _inside(host: str, network: str) -> bool:
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:  # a host name, or no range
        return False


def _version(file: str) -> tuple[int, ...]:
    state = Path(file).stat()
    return state.st_mtime_ns, state.st_ino, state.st_size


def _trusting(file: str) -> ssl.SSLContext:
    """Raises: OSError, of which ssl.SSLError is one."""
    context = ssl.create_default_context()
    # Since Python 3.13 extensions are required that many private authorities lack; other TLS clients do not require them.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.load_verify_locations(cafile=file)
    return context
