"""The mounted configuration: the one contract between the operator (or `mcpgw up`) and the gateway.

Two files: the *hot* part (`Config`) may change while the gateway runs; the *binding* (`Binding`) belongs to one pod template,
because in Sidecar mode a server's address is a port of that very pod.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Final, Literal, NamedTuple, TypeVar

import msgspec

Isolation = Literal["Auto", "Shared", "Session", "Principal", "Call"]
_T = TypeVar("_T")
PrefixPolicy = Literal["Always", "OnConflict", "Never"]
PROCESSES: Final = 16  # most processes of a server that is not shared, where its configuration says no number

# Files are written by programs, but also by hand: a value that would only fail later is refused when the file is read.
_Seconds = Annotated[float, msgspec.Meta(ge=0, le=1000 * 366 * 86_400)]  # a thousand years: above every Duration of the resource
_Count = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
_Bytes = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
_Name = Annotated[str, msgspec.Meta(pattern=r"^[^\x00-\x20\x7f-\xa0\u2028-\u202e\u2066-\u2069]+\Z", max_length=253)]
_Path = Annotated[str, msgspec.Meta(pattern=r"^[^\x00]*\Z")]


class ConfigError(Exception):
    """A configuration file that cannot be used; the message names the file, the field and what is wrong with it."""


class _Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    pass


class Token(_Model, frozen=True):
    """A bearer token that clients may present (RFC 6750)."""

    name: str  # the principal that it stands for
    file: _Path  # where the secret value is mounted
    reference: str = ""  # what the file comes from, "secret/key", for messages


class Auth(_Model, frozen=True):
    """Who may connect. Without tokens and without `allow_unauthenticated`, every request is refused."""

    tokens: tuple[Token, ...] = ()
    allow_unauthenticated: bool = False


class ToolNames(_Model, frozen=True):
    """How the tools of several servers share one list of names."""

    prefix: PrefixPolicy = "Always"
    separator: str = "_"


class ToolOverride(_Model, frozen=True):
    """What clients see of one tool in place of the server's own name and description."""

    name: str  # the server's own
    rename: str = ""
    description: str = ""


class ToolRules(_Model, frozen=True):
    """Which tools of a server are offered, and as what. Globs match the server's own names."""

    allow: tuple[str, ...] = ()  # empty: all
    deny: tuple[str, ...] = ()
    overrides: tuple[ToolOverride, ...] = ()


class Header(_Model, frozen=True):
    """A header of all requests to a remote server: its value, or the file where a secret one is mounted."""

    name: str
    value: str = ""
    file: _Path = ""
    reference: str = ""  # what the file comes from, "secret/key", for messages


class Proxy(_Model, frozen=True):
    """The proxy for requests to a remote server."""

    url: str
    no_proxy: tuple[str, ...] = ()  # host names, .suffixes, addresses and ranges that are reached without it
    file: _Path = ""  # where its credentials are mounted, USER:PASSWORD
    reference: str = ""  # what the file comes from, "secret/key", for messages


class Server(_Model, frozen=True):
    """One MCP server: behind a bridge, or remote at a URL."""

    name: _Name
    isolation: Isolation = "Auto"
    addresses: tuple[str, ...] = ()  # HOST:PORT of its bridges; empty in Sidecar mode, where the binding has them
    arriving: tuple[str, ...] = ()  # HOST:PORT of bridges that become ready once their server has answered
    fallback: str = ""  # HOST:PORT by name, while there is no address
    url: str = ""  # of a remote server
    headers: tuple[Header, ...] = ()
    ca_file: _Path = ""  # certificate authorities in PEM that a remote server is trusted by, besides the public ones
    ca_reference: str = ""  # what the file comes from, "configmap/key", for messages
    proxy: Proxy | None = None  # of a remote server
    call_timeout: _Seconds = 60.0
    start_timeout: _Seconds = 120.0  # from the start of a process until it has answered
    pool: _Count = 1  # processes of a shared server
    max_processes: _Count | None = None  # of a server that is not shared; None: PROCESSES, or fewer by its memory
    stateless: bool = False  # whether it keeps nothing between calls: then a process is replaced without telling its client
    idle_timeout: _Seconds = 1800.0  # that a process of one session or principal is kept without use
    hang_timeout: _Seconds = 30.0  # without an answer, until a shared process that has nothing to do is restarted
    tools: ToolRules = ToolRules()
    pin: str | None = None  # digest of the tools that are approved, empty if none is; None: no approval is needed

    @property
    def most_processes(self) -> int:
        """The largest number of processes of a server that is not shared."""
        return PROCESSES if self.max_processes is None else self.max_processes


class _Named(msgspec.Struct):
    name: _Name


class _Entries(msgspec.Struct):
    servers: tuple[msgspec.Raw, ...] = ()


class Route(_Model, frozen=True):
    """A host and the prefix of its paths that lead to the gateway from outside."""

    host: str = ""  # empty: any
    path: Annotated[str, msgspec.Meta(pattern=r"^(/[^/\s]+)*\Z")] = ""  # empty: no prefix


class Config(_Model, frozen=True):
    """The hot part."""

    gateway: str
    servers: tuple[Server, ...] = ()
    awaited: tuple[str, ...] = ()  # servers that must answer before a gateway which starts is ready
    auth: Auth = Auth()
    tool_names: ToolNames = ToolNames()
    allowed_hosts: tuple[str, ...] = ()  # host names besides loopback names and addresses
    allowed_origins: tuple[str, ...] = ()
    routes: tuple[Route, ...] = ()
    trusted_proxies: tuple[str, ...] = ()  # networks, as 10.0.0.0/8, of proxies whose Forwarded fields are believed
    request_bytes: _Bytes = 4 << 20
    session_ttl: _Seconds = 86_400.0  # from a session's beginning
    session_idle_timeout: _Seconds = 1800.0  # from its last use
    max_sessions: _Count = 10_000  # in use at once
    startup_timeout: _Seconds = 10.0  # for which requests wait, after the start, for servers that have not answered yet
    audit: Literal["None", "Metadata"] = "None"


class Binding(_Model, frozen=True):
    """What is bound to one pod template."""

    mode: Literal["Sidecar", "MultiPod"] = "MultiPod"
    addresses: dict[str, str] = {}  # Sidecar: server name -> HOST:PORT


def encode(model: Config | Binding) -> str:
    """The file's content, the same bytes for the same model."""
    return msgspec.json.encode(model, order="deterministic").decode()


def digest(content: bytes | str) -> str:
    """A short hash by which `/status` tells the operator which configuration is in force."""
    raw = content.encode() if isinstance(content, str) else content
    return hashlib.sha256(raw).hexdigest()[:16]


class Reading(NamedTuple):
    """What the file of the hot part holds."""

    config: Config
    digest: str
    invalid: Mapping[str, str] = {}  # server -> what is wrong with its entry, which is not in `config`


def read_config(path: Path) -> Reading:
    """Read the hot part. An entry of a server that cannot be used is that server's failure alone. Raises: ConfigError."""
    raw = _read(path)
    members = _decode(path, raw, dict[str, msgspec.Raw])
    members.pop("servers", None)
    config = _decode(path, msgspec.json.encode(members), Config)
    _check_networks(path, config.trusted_proxies)
    servers: dict[str, Server] = {}
    invalid: dict[str, str] = {}
    for number, entry in enumerate(_decode(path, raw, _Entries).servers):
        place = f"$.servers[{number}]"
        try:
            server = _decode(path, bytes(entry), Server, place)
            if server.name in servers:
                raise ConfigError(f"{path}: two servers are named {server.name!r}: names must be unique - at `{place}.name`")
        except ConfigError as error:
            invalid[_unused(_name_in(entry, place), servers, invalid, place)] = str(error)
        else:
            servers[server.name] = server
    return Reading(msgspec.structs.replace(config, servers=tuple(servers.values())), digest(raw), invalid)


def _check_networks(path: Path, networks: Iterable[str]) -> None:
    """Raises: ConfigError."""
    for network in networks:
        try:
            ipaddress.ip_network(network, strict=False)
        except ValueError as error:
            raise ConfigError(f"{path}: trustedProxies: {error}") from error


def _name_in(entry: msgspec.Raw, place: str) -> str:
    """The name of a server whose entry cannot be used; its place, where there is no usable one."""
    try:
        return msgspec.json.decode(entry, type=_Named).name
    except _DECODING:
        return place


def _unused(name: str, servers: Mapping[str, Server], invalid: Mapping[str, str], place: str) -> str:
    return f"{name} ({place})" if name in servers or name in invalid else name


def read_binding(path: Path) -> Binding:
    """Read the binding. Raises: ConfigError."""
    return _decode(path, _read(path), Binding)


_DECODING: Final = (
    msgspec.MsgspecError,
    ValueError,
    OverflowError,
    RecursionError,
)  # ValueError: of invalid UTF-8, large numbers


def _decode(path: Path, raw: bytes, model: type[_T], place: str = "$") -> _T:
    """Decode what is at a place of a file. Raises: ConfigError."""
    try:
        return msgspec.json.decode(raw, type=model)
    except RecursionError as error:
        raise ConfigError(f"{path}: it is nested too deeply - at `{place}`") from error
    except _DECODING as error:
        words = str(error)
        words = words.replace("`$", f"`{place}") if "`$" in words or place == "$" else f"{words} - at `{place}`"
        raise ConfigError(f"{path}: {words}") from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error


def addresses_of(server: Server, binding: Binding) -> tuple[str, ...]:
    """Where a server's bridges are; empty for one that belongs to another pod template."""
    if binding.mode == "Sidecar":
        own = binding.addresses.get(server.name)
        return (own,) if own else ()
    return server.addresses or ((server.fallback,) if server.fallback else ())
