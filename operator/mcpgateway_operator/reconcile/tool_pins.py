"""Tools that somebody has looked at: what is said when a server describes its tools in other words. Pure.

Source: OWASP MCP top 10, tool poisoning; a digest covers name, description, schemas and annotations of every tool.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from ..render.naming import PIN

CHANGED = "ToolsChanged"
PENDING = "ToolsPending"
Policy = Literal["Off", "Warn", "Enforce"]


def finding(
    row: Mapping[str, Any], before: Mapping[str, Any], *, policy: Policy, approved: str, gateway: str, namespace: str
) -> dict[str, str] | None:
    """What is to be said of a server's tools. `row` is the gateway's report, `before` what status said of it last."""
    digest = str(row.get("digest", ""))
    if policy == "Off" or not digest or digest == approved:
        return None
    how = f"look at them, then: kubectl -n {namespace} annotate mcpgateway {gateway} --overwrite {PIN}{row['name']}={digest}"
    if policy == "Enforce":
        return {"reason": PENDING, "message": f"its tools are not approved, so none is offered; {how}"}
    known = approved or str(before.get("digest", ""))
    if known and known != digest:
        return {"reason": CHANGED, "message": f"its tools were {known}, and have changed; {how}"}
    said = before.get("lastError") or {}
    return dict(said) if said.get("reason") == CHANGED else None
