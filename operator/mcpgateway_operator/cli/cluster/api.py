"""Requests to the API server as the user: dict bodies, one error with words that say what to do.

Source: Kubernetes API concepts; errors are metav1.Status.
"""

from __future__ import annotations

import contextlib
import json
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlencode

import aiohttp

from ..bad_input import NotReachedError
from .credentials import authorization, find_access, tls, with_plugin
from .kubeconfig import Access

_CONNECT = 10.0  # seconds
_TIMEOUT = 30.0  # seconds for one answer
_MAX_WORDS = 300  # characters of an answer that is no metav1.Status
MERGE = "application/merge-patch+json"
Socket = aiohttp.ClientWebSocketResponse[Literal[True]]


class RefusedError(NotReachedError):
    """The API server answered with an error; `status` is the HTTP status code, `reason` the one of its metav1.Status."""

    def __init__(self, message: str, *, status: int, reason: str) -> None:
        super().__init__(message)
        self.status, self.reason = status, reason


class Api:
    """The API server of one context. Every method raises NotReachedError; an answer with an error is a RefusedError."""

    def __init__(self, session: aiohttp.ClientSession, access: Access) -> None:
        self._session, self.access = session, access
        self._tls: dict[str, Any] = {"server_hostname": access.tls_server_name} if access.tls_server_name else {}

    async def get(self, path: str, **query: str) -> dict[str, Any] | None:
        """An object or a list; None for 404."""
        try:
            return await self.request("GET", path, query=query)
        except RefusedError as error:
            if error.status == 404:
                return None
            raise

    async def items(self, path: str, **query: str) -> list[dict[str, Any]]:
        """The objects of a list; none if the kind is not served."""
        listed = await self.get(path, **query)
        return list((listed or {}).get("items") or ())

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content: str = "application/json",
    ) -> dict[str, Any]:
        """The body of an answer."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": content, "Accept": "application/json"}
        with self._words(method, path):
            async with self._session.request(method, self._url(path, query), data=data, headers=headers, **self._tls) as answer:
                raw = await answer.read()
        return _parsed(answer.status, raw, what=f"{method} {path}", access=self.access)

    async def stream(self, path: str, **query: str) -> AsyncGenerator[bytes]:
        """The body of a GET as it arrives, for logs: without a time limit."""
        unlimited = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT)
        with self._words("GET", path):
            async with self._session.get(self._url(path, query), timeout=unlimited, **self._tls) as answer:
                if answer.status >= 300:
                    _parsed(answer.status, await answer.read(), what=f"GET {path}", access=self.access)
                async for chunk in answer.content.iter_any():
                    yield chunk

    async def websocket(self, path: str, protocol: str, **query: str) -> Socket:
        """An open WebSocket, for messages of any size."""
        with self._words("GET", path):
            try:
                url, options = self._url(path, query), self._tls
                socket: Socket = await self._session.ws_connect(url, protocols=(protocol,), max_msg_size=0, **options)
                return socket
            except aiohttp.WSServerHandshakeError as error:
                words = _refusal(error.status, {}, what=f"GET {path}", access=self.access)
                raise RefusedError(words, status=error.status, reason="") from error

    def _url(self, path: str, query: Mapping[str, str] | None) -> str:
        return f"{self.access.server}{path}{'?' + urlencode(query) if query else ''}"

    @contextlib.contextmanager
    def _words(self, method: str, path: str) -> Iterator[None]:
        try:
            yield
        except TimeoutError:
            words = f"{self.access.server} did not answer {method} {path} in time: is the cluster reachable from here?"
            raise NotReachedError(words) from None
        except aiohttp.ClientConnectorCertificateError as error:
            words = f"{self.access.server} has a certificate that context {self.access.context!r} does not trust"
            raise NotReachedError(f"{words}: {error.certificate_error}") from None
        except (OSError, aiohttp.ClientError, ssl.SSLError) as error:
            where = f"{self.access.server} (context {self.access.context!r})"
            raise NotReachedError(f"no API server answers at {where}: {error}: start the cluster, or use --context") from None


def _parsed(status: int, raw: bytes, *, what: str, access: Access) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except ValueError:
        body = None
    if status < 300 and isinstance(body, dict):
        return body
    if status < 300:
        raise NotReachedError(f"{access.server} answered {what} with something else than JSON: is it an API server?")
    content = body if isinstance(body, dict) else {"message": raw[:_MAX_WORDS].decode(errors="replace")}
    raise RefusedError(_refusal(status, content, what=what, access=access), status=status, reason=str(content.get("reason", "")))


def _refusal(status: int, body: Mapping[str, Any], *, what: str, access: Access) -> str:
    words = str(body.get("message") or f"the API server answered {what} with {status}")
    if status == 401:
        return f"the cluster does not accept the credentials of context {access.context!r}: log in again, or use --context"
    if status == 403:
        return f"{words}: ask the cluster's administrator for this right, or use another --context"
    return words


@contextlib.asynccontextmanager
async def connect(kubeconfig: Path | None, context: str | None) -> AsyncIterator[Api]:
    """The API server of a context. Raises: BadInputError, NotReachedError."""
    access = await with_plugin(find_access(kubeconfig, context))
    connector = aiohttp.TCPConnector(ssl=tls(access), limit=0)
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT, sock_connect=_CONNECT)
    async with aiohttp.ClientSession(
        connector=connector,
        timeout=timeout,
        headers=[*authorization(access), ("User-Agent", "mcpgw")],
        proxy=access.proxy or None,
    ) as session:
        yield Api(session, access)
