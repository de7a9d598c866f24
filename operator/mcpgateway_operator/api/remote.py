"""The resource's fields about a remote server: its URL and the headers of requests.

Sources: RFC 3986 (URI), RFC 1123 section 2.1 and RFC 1035 section 2.3.4 (host names), RFC 9110 section 5 (fields).
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import ConfigDict, Field

from .environment import EnvVarSource
from .types import KeySelector, Model, cel, wanted

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


NoProxy = Annotated[
    str,
    Field(
        min_length=1,
        max_length=253,
        pattern=r"^[^\s,]+$",
        json_schema_extra=wanted("a host name, .suffix, address or range, for example .svc or 10.0.0.0/8"),
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


class Proxy(Model):
    """An HTTP proxy; https URLs are reached by CONNECT."""

    url: str = Field(
        max_length=512,
        pattern=r"^https?://[^\s/?#@]+/?$",
        json_schema_extra=wanted("http(s)://HOST[:PORT], without a user, a password or a path"),
        description="URL of the proxy, for example http://proxy.example.com:3128.",
    )
    no_proxy: tuple[NoProxy, ...] = Field(
        (),
        max_length=64,
        json_schema_extra={"x-kubernetes-list-type": "set"},
        description="Destinations reached without it: host names and those below them, .names for only those below, addresses, "
        "ranges, and * for all.",
    )
    credentials: KeySelector | None = Field(None, description="The key of a Secret that holds USER:PASSWORD; absent: none.")


class Remotes(Model):
    """The connections to remote servers."""

    ca_bundle: KeySelector | None = Field(
        None, description="The key of a ConfigMap with certificate authorities (PEM) that are trusted besides the public ones."
    )
    proxy: Proxy | None = Field(
        None,
        description="The proxy for remote servers. servers[].egress must allow it where its address is not public.",
    )
