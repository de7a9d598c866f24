"""Protocol versions and the two eras: which of them a request belongs to.

*modern* is 2026-07-28 and later (every request carries its metadata), *legacy* is 2025-11-25 and earlier (initialize, sessions).
Source: MCP specification 2026-07-28, "Streamable HTTP" and "Versioning"; 2025-11-25, "Lifecycle".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, Literal

from msgspec import UNSET, Raw

from . import headers as mcp_headers
from . import jsonrpc
from .jsonrpc import Envelope, ProtocolError
from .request_meta import CAPABILITIES_KEY, VERSION_KEY, RequestMeta

Era = Literal["legacy", "modern"]

MODERN_VERSIONS: Final = ("2026-07-28",)
LEGACY_VERSIONS: Final = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
LATEST_LEGACY: Final = LEGACY_VERSIONS[-1]
# What initialize may agree on; 2024-11-05 is for another transport, HTTP with SSE.
OFFERED_LEGACY: Final = LEGACY_VERSIONS[1:]
OFFERED_SSE: Final = LEGACY_VERSIONS
WITH_BATCHES: Final = "2025-03-26"  # the only one in which arrays of messages must be accepted
_NAME: Final = re.compile(r"[!-~]{1,32}")

# HTTP status by error code in the modern era; everything else is 200.
HTTP_STATUS: Final[Mapping[int, int]] = {
    jsonrpc.PARSE_ERROR: 400,
    jsonrpc.INVALID_REQUEST: 400,
    jsonrpc.INVALID_PARAMS: 400,
    jsonrpc.METHOD_NOT_FOUND: 404,
    jsonrpc.HEADER_MISMATCH: 400,
    jsonrpc.MISSING_CAPABILITY: 400,
    jsonrpc.UNSUPPORTED_VERSION: 400,
}


def classify(envelope: Envelope, headers: Mapping[bytes, bytes], *, params: Mapping[str, Raw] | None, meta: RequestMeta) -> Era:
    """Decide the era of one request by its headers and body, and check in the modern era that both agree.

    `headers` has lower-case names; a routing header sent twice is joined by a comma and so never equals the body. `params`
    are None where they are no object. Raises: ProtocolError (-32020, -32022 or -32602).
    """
    version = headers.get(b"mcp-protocol-version", b"").decode("latin-1").strip()
    has_version = meta.version is not UNSET
    if envelope.method == "initialize" and version not in MODERN_VERSIONS and not has_version:
        return "legacy"
    if version in LEGACY_VERSIONS or not version:
        if has_version and envelope.id is not UNSET:
            raise ProtocolError(jsonrpc.HEADER_MISMATCH, "MCP-Protocol-Version is missing or differs from the body's _meta")
        return "legacy"
    if version not in MODERN_VERSIONS:
        raise unsupported(version)
    if envelope.id is not UNSET and envelope.method is not UNSET:
        _check_modern(envelope.method, version, params or {}, meta, headers)
    return "modern"


def unsupported(version: str) -> ProtocolError:
    """The error for a version that is not served, with those that are."""
    return ProtocolError(
        jsonrpc.UNSUPPORTED_VERSION,
        f"protocol version {version[:32]!r} is not supported",
        data={"supported": list(MODERN_VERSIONS), "requested": version[:32]},
    )


def _check_modern(
    method: str, version: str, params: Mapping[str, Raw], meta: RequestMeta, headers: Mapping[bytes, bytes]
) -> None:
    if meta.version is UNSET or meta.capabilities is UNSET:
        missing = VERSION_KEY if meta.version is UNSET else CAPABILITIES_KEY
        raise ProtocolError(jsonrpc.INVALID_PARAMS, f"params._meta lacks {missing!r}, which every request must carry")
    if not bytes(meta.capabilities).startswith(b"{"):
        raise ProtocolError(jsonrpc.INVALID_PARAMS, f"params._meta[{CAPABILITIES_KEY!r}] must be an object")
    mcp_headers.check_same("MCP-Protocol-Version", headers.get(b"mcp-protocol-version"), jsonrpc.text(meta.version))
    mcp_headers.check_same("Mcp-Method", headers.get(b"mcp-method"), method)
    if method in mcp_headers.NAMED_BY:
        mcp_headers.check_same("Mcp-Name", headers.get(b"mcp-name"), mcp_headers.name_of(method, params))


def negotiate(requested: object, offered: tuple[str, ...] = OFFERED_LEGACY) -> str:
    """The version that initialize agrees on: the requested version if it is offered, else the latest legacy version."""
    return requested if isinstance(requested, str) and requested in offered else LATEST_LEGACY


def legacy_answer(version: str | None) -> str:
    """The version to go on with after a server's answer to initialize: the one that it names, even if it is none that we know,
    for servers expect it in the header `MCP-Protocol-Version`. It is the latest legacy version where the server names none that
    a header can carry, or one of the other era, which initialize cannot agree on.
    """
    if version is None or version in MODERN_VERSIONS or not _NAME.fullmatch(version):
        return LATEST_LEGACY
    return version
