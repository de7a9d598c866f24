"""Tool pinning: compares the digest of a server's tools with the approved or the last one. Pure.

Source: OWASP MCP top 10, tool poisoning; a digest covers name, description, schemas and annotations of every tool.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from ..render.naming import PIN
from .reasons import Reason

Policy = Literal["Off", "Warn", "Enforce"]


def finding(
    row: Mapping[str, Any], before: Mapping[str, Any], *, policy: Policy, approved: str, gateway: str, namespace: str
) -> dict[str, str] | None:
    """The error about a server's tools, if there is one.

    `row` is the gateway's report, `before` the entry in the stored status.
    """
    digest = str(row.get("digest", ""))
    if policy == "Off" or not digest or digest == approved:
        return None
    command = f"kubectl -n {namespace} annotate mcpgateway {gateway} --overwrite {PIN}{row['name']}={digest}"
    if policy == "Enforce":
        message = f"its tools are not approved, so none is offered; review them, then run: {command}"
        return {"reason": Reason.TOOLS_PENDING, "message": message}
    expected = approved or str(before.get("digest", ""))
    if expected and expected != digest:
        message = f"its tool definitions have changed from {expected}; review them, then run: {command}"
        return {"reason": Reason.TOOLS_CHANGED, "message": message}
    last = before.get("lastError") or {}
    return dict(last) if last.get("reason") == Reason.TOOLS_CHANGED else None
