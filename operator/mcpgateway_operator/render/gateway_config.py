"""spec → the gateway's configuration, `mcpgateway.config`: the same in the cluster and with `mcpgw up`. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from msgspec.structs import replace

from mcpgateway import config as gateway_config

from ..api.environment import EnvVarSource
from ..api.quantities import seconds, size
from ..api.remote import Header, Remotes
from ..api.servers import Server
from ..api.sessions import Limits
from ..api.spec import Spec
from ..api.types import KeySelector

REMOTE_SESSIONS = 10_000  # most sessions at one remote server

File = Callable[[str, str, str], str]  # (secrets | configmaps, name, key) → path of the file with its value


def server_config(
    server: Server,
    *,
    limits: Limits,
    remotes: Remotes,
    file: File,
    addresses: tuple[str, ...] = (),
    arriving: tuple[str, ...] = (),
    fallback: str = "",
    pin: str | None = None,
) -> gateway_config.Server:
    """The configuration of one server."""
    bundle = None if server.hosted else ca_bundle(remotes, server)
    return gateway_config.Server(
        name=server.name,
        ca_file=file("configmaps", bundle.name, bundle.key) if bundle else "",
        ca_reference=f"{bundle.name}/{bundle.key}" if bundle else "",
        proxy=None if server.hosted else _proxy(remotes, file),
        url=server.url or "",
        headers=tuple(_header(header, file) for header in server.headers),
        isolation=server.isolation,
        addresses=addresses,
        arriving=arriving,
        fallback=fallback,
        call_timeout=seconds(server.call_timeout or limits.call_timeout),
        start_timeout=seconds(server.start_timeout),
        pool=server.pool,
        max_processes=server.max_processes if server.hosted else REMOTE_SESSIONS,
        stateless=server.stateless,
        idle_timeout=seconds(server.idle_timeout),
        pin=pin,
        tools=gateway_config.ToolRules(
            allow=server.tools.allow,
            deny=server.tools.deny,
            overrides=tuple(
                gateway_config.ToolOverride(name=o.name, rename=o.rename or "", description=o.description or "")
                for o in server.tools.overrides
            ),
        ),
    )


def ca_bundle(remotes: Remotes, server: Server) -> KeySelector | None:
    """Where the certificate authorities of a remote server are: the key of a ConfigMap."""
    return server.ca_bundle or remotes.ca_bundle


def _proxy(remotes: Remotes, file: File) -> gateway_config.Proxy | None:
    if remotes.proxy is None:
        return None
    proxy = gateway_config.Proxy(url=remotes.proxy.url, no_proxy=remotes.proxy.no_proxy)
    if remotes.proxy.credentials is None:
        return proxy
    secret = remotes.proxy.credentials
    return replace(proxy, file=file("secrets", secret.name, secret.key), reference=f"{secret.name}/{secret.key}")


def _header(header: Header, file: File) -> gateway_config.Header:
    if header.value_from is None:
        return gateway_config.Header(name=header.name, value=header.value or "")
    kind, name, key = origin(header.value_from)
    return gateway_config.Header(name=header.name, file=file(kind, name, key), reference=f"{name}/{key}")


def origin(source: EnvVarSource) -> tuple[str, str, str]:
    """The reference of a valueFrom: secrets or configmaps, name, key."""
    if source.secret_key_ref:
        return "secrets", source.secret_key_ref.name, source.secret_key_ref.key
    assert source.config_map_key_ref is not None  # noqa: S101 - the schema requires exactly one
    return "configmaps", source.config_map_key_ref.name, source.config_map_key_ref.key


def pin_of(spec: Spec, pins: Mapping[str, str], server: str) -> str | None:
    """The approved digest, empty if there is none; None if no approval is needed."""
    return pins.get(server, "") if spec.tool_pinning == "Enforce" else None


def hot_config(
    spec: Spec,
    *,
    gateway: str,
    servers: Sequence[gateway_config.Server],
    auth: gateway_config.Auth,
    hosts: Sequence[str] = (),
    awaited: Sequence[str] = (),
) -> gateway_config.Config:
    """The configuration that is reloaded without a restart; `hosts` are the gateway's own host names."""
    routes = tuple(outside_routes(spec))
    return gateway_config.Config(
        gateway=gateway,
        servers=tuple(servers),
        awaited=tuple(awaited),
        auth=auth,
        tool_names=gateway_config.ToolNames(prefix=spec.tool_names.prefix, separator=spec.tool_names.separator),
        allowed_hosts=tuple(dict.fromkeys((*hosts, *(route.host for route in routes if route.host), *spec.allowed_hosts))),
        allowed_origins=spec.allowed_origins,
        routes=routes if any(route.path for route in routes) else (),
        trusted_proxies=spec.trusted_proxies,
        request_bytes=size(spec.limits.request_bytes),
        session_ttl=seconds(spec.sessions.ttl),
        session_idle_timeout=seconds(spec.sessions.idle_timeout),
        max_sessions=spec.limits.max_sessions,
        audit=spec.audit.level,
    )


def outside_routes(spec: Spec) -> Iterator[gateway_config.Route]:
    """Where the Ingress and the HTTPRoute lead to the gateway from outside."""
    if spec.ingress is not None:
        yield gateway_config.Route(host=spec.ingress.host, path=spec.ingress.path.rstrip("/"))
    if spec.http_route is not None:
        for host in spec.http_route.hostnames or ("",):
            yield gateway_config.Route(host=host, path=spec.http_route.path.rstrip("/"))


def gateway_auth(spec: Spec, *, file: File) -> gateway_config.Auth:
    """The auth part of the configuration; `file` gives the path of a Secret's key."""
    return gateway_config.Auth(
        allow_unauthenticated=spec.auth.allow_unauthenticated,
        tokens=tuple(
            gateway_config.Token(
                name=token.name,
                file=file("secrets", token.secret_key_ref.name, token.secret_key_ref.key),
                reference=f"{token.secret_key_ref.name}/{token.secret_key_ref.key}",
            )
            for token in spec.auth.tokens
        ),
    )
