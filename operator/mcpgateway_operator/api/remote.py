"""The resource's fields about a remote server: its URL and the headers of requests.

Sources: RFC 3986 (URI), RFC 1123 section 2.1 and RFC 1035 section 2.3.4 (host names), RFC 9110 section 5 (fields).
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import ConfigDict, Field

from .environment import EnvVarSource
from .types import Model, cel, wanted

RESERVED_HEADERS: Final = (
    "accept",
    "connection",
    "content-length",
    "content-type",
    "host",
    "last-event-id",
    "transfer-encoding",
    "upgrade",
)
_LABEL = "[A-Za-z0-9_]([-A-Za-z0-9_]{0,61}[A-Za-z0-9_])?"  # 1 to 63 characters
_HOST = rf"({_LABEL}([.]{_LABEL})*[.]?|\[[0-9A-Fa-f:.]+\])"
_PORT = "([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"  # 1 to 65535
_AUTHORITY = f"^https?://{_HOST}(:{_PORT})?(/.*)?$".replace("\\", "\\\\")  # in a string of CEL
RemoteURL = Annotated[
    str,
    Field(
        max_length=2048,
        pattern=r"^https?://[^\s/?#@]+(/[^\s#]*)?$",
        json_schema_extra=wanted("http(s)://HOST[:PORT][/PATH], without a user, a password or a fragment")
        | cel(
            (
                f"self.matches('{_AUTHORITY}')",
                "url must be http(s)://HOST[:PORT][/PATH] with a port from 1 to 65535 and a host name whose labels, between "
                "dots, have 1 to 63 letters, digits, - or _ (an internationalized name in its xn-- form)",
            )
        ),
    ),
]


class Header(Model):
    """One header of all requests to a remote server."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "has(self.value) != has(self.valueFrom)",
                "headers needs exactly one of value and valueFrom; put secret values into valueFrom",
            ),
            (
                "!self.name.matches('(?i)^(mcp-.*|" + "|".join(RESERVED_HEADERS) + ")$')",
                "headers may not set what the protocol itself sets (mcp-…, " + ", ".join(RESERVED_HEADERS) + "): remove it",
            ),
        )
    )
    name: str = Field(
        min_length=1,
        max_length=128,
        pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$",
        json_schema_extra=wanted("the name of a header: letters, digits and -"),
        description="Name of the header.",
    )
    value: str | None = Field(
        None,
        max_length=4096,
        pattern=r"^[\x20-\x7e]*$",
        json_schema_extra=wanted("printable ASCII characters on one line"),
        description="Value of the header.",
    )
    value_from: EnvVarSource | None = Field(
        None, description="Take the value from a Secret or a ConfigMap; a changed value is used within seconds."
    )
