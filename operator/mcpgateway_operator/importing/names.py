"""Names of servers and keys of Secrets, from any text. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container

from ..api.servers import RESERVED_SERVER_NAMES

_LONGEST = 40


def label(text: str, taken: Container[str], *, fallback: str = "server") -> str:
    """A DNS label of at most 40 characters that is not taken."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:_LONGEST].strip("-") or fallback
    if name in RESERVED_SERVER_NAMES:
        name = f"{name}-server"
    number, candidate = 2, name
    while candidate in taken:
        suffix = f"-{number}"
        candidate, number = name[: _LONGEST - len(suffix)].strip("-") + suffix, number + 1
    return candidate


def gateway_label(text: str) -> str:
    """The name of an MCPGateway: a DNS label that begins with a letter."""
    name = label(text, ())
    return name if name[0].isalpha() else label(f"mcp-{name}", ())


def secret_key(text: str) -> str:
    """A key of a Secret."""
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.") or "value"


def variable_name(text: str) -> str:
    """The name of an environment variable."""
    name = re.sub(r"[^A-Za-z0-9_]", "_", text)
    return name if name and not name[0].isdigit() else f"_{name}"
