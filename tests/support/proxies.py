"""Proxies, from Debian and from PyPI, in front of a port on loopback."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from . import pypi, tools
from .bridges import until
from .locks import free_port
from .processes import end
from .waiting import PATIENCE

NGINX, HAPROXY, TINYPROXY = "/usr/sbin/nginx", "/usr/sbin/haproxy", "/usr/bin/tinyproxy"
# https://nginx.org/en/docs/http/websocket.html and https://nginx.org/en/docs/http/ngx_http_upstream_module.html#keepalive
_NGINX = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
  upstream gateway {{ {balance} {servers} keepalive 4; }}
  server {{
    listen 127.0.0.1:{port}{listen};
    {server}
  }}
}}
"""
# https://docs.haproxy.org/2.6/configuration.html
_HAPROXY = """
global
  maxconn 256
defaults
  mode http
  timeout connect 60s
  timeout client 1h
  timeout server 1h
frontend clients
  bind 127.0.0.1:{port}{listen}
{frontend}
  default_backend gateway
backend gateway
{backend}
  server gateway 127.0.0.1:{gateway}
"""


@contextlib.contextmanager
def nginx(
    folder: Path, server: str, *, gateway: int, others: Sequence[int] = (), balance: str = "", listen: str = ""
) -> Iterator[int]:
    """An nginx with this server block, whose upstream `gateway` is these ports, in turn if `balance` says nothing else.

    Yields: the port where it listens.
    """
    tools.require("gateway", {NGINX: "nginx-light"})
    port, file = free_port(), folder / "nginx.conf"
    folder.mkdir(exist_ok=True)
    servers = " ".join(f"server 127.0.0.1:{each};" for each in (gateway, *others))
    file.write_text(_NGINX.format(folder=folder, servers=servers, balance=balance, port=port, listen=listen, server=server))
    with _listening([NGINX, "-p", str(folder), "-c", str(file)], folder / "nginx.log", port):
        yield port


@contextlib.contextmanager
def haproxy(folder: Path, *, gateway: int, frontend: str = "", backend: str = "", listen: str = "") -> Iterator[int]:
    """An HAProxy with these lines of its frontend and backend. Yields: the port where it listens."""
    tools.require("gateway", {HAPROXY: "haproxy"})
    port, file = free_port(), folder / "haproxy.cfg"
    folder.mkdir(exist_ok=True)
    file.write_text(_HAPROXY.format(gateway=gateway, port=port, listen=listen, frontend=frontend, backend=backend))
    with _listening([HAPROXY, "-db", "-f", str(file)], folder / "haproxy.log", port):
        yield port


# https://tinyproxy.github.io/
_TINYPROXY = """
Port {port}
Listen 127.0.0.1
Timeout 600
MaxClients 100
LogLevel Connect
LogFile "{folder}/tinyproxy-requests.log"
BasicAuth {user} {password}
"""


@contextlib.contextmanager
def forward(folder: Path, *, user: str, password: str) -> Iterator[tuple[str, Path]]:
    """A proxy for outgoing requests, with CONNECT, that wants these credentials. Yields: its URL, and the log of its requests."""
    tools.require("gateway", {TINYPROXY: "tinyproxy-bin"})
    port, file = free_port(), folder / "tinyproxy.conf"
    file.write_text(_TINYPROXY.format(port=port, folder=folder, user=user, password=password))
    with _listening([TINYPROXY, "-d", "-c", str(file)], folder / "tinyproxy.log", port):
        yield f"http://127.0.0.1:{port}", folder / "tinyproxy-requests.log"


@contextlib.contextmanager
def envoy(
    folder: Path, *, gateway: int, routes: list[dict[str, Any]], idle: float = 3600, tls: tuple[Path, Path] | None = None
) -> Iterator[int]:
    """An Envoy with these routes to the cluster `gateway`. Yields: the port where it listens.

    `idle` is when it gives up on a silent stream, in seconds; `tls` are the files of a certificate and its key. It reads whole
    requests before it passes them on, as where its buffer filter is on.
    """
    port, file = free_port(), folder / "envoy.json"
    folder.mkdir(exist_ok=True)
    file.write_text(json.dumps(_envoy(port, gateway, routes, idle, tls)))
    program = str(pypi.program("ingress", "envoy"))
    flags = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"]
    with _listening([program, "--config-path", str(file), *flags], folder / "envoy.log", port):
        yield port


def _envoy(port: int, gateway: int, routes: list[dict[str, Any]], idle: float, tls: tuple[Path, Path] | None) -> dict[str, Any]:
    """https://www.envoyproxy.io/docs/envoy/latest/api-v3/bootstrap/bootstrap.html"""
    filters = [
        _typed("envoy.filters.http.buffer", "extensions.filters.http.buffer.v3.Buffer", max_request_bytes=1 << 22),
        _typed("envoy.filters.http.router", "extensions.filters.http.router.v3.Router"),
    ]
    manager = _typed(
        "envoy.filters.network.http_connection_manager",
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="clients",
        stream_idle_timeout=f"{idle}s",
        http_filters=filters,
        route_config={"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
    )
    chain: dict[str, Any] = {"filters": [manager]}
    if tls is not None:
        certificate, key = ({"filename": str(file)} for file in tls)
        context = {"tls_certificates": [{"certificate_chain": certificate, "private_key": key}]}
        kind = "extensions.transport_sockets.tls.v3.DownstreamTlsContext"
        chain["transport_socket"] = _typed("envoy.transport_sockets.tls", kind, common_tls_context=context)
    endpoint = {"endpoint": {"address": _address(gateway)}}
    cluster = {
        "name": "gateway",
        "connect_timeout": "60s",
        "load_assignment": {"cluster_name": "gateway", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
    listener = {"name": "clients", "address": _address(port), "filter_chains": [chain]}
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


def _typed(name: str, kind: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "typed_config": {"@type": f"type.googleapis.com/envoy.{kind}", **more}}


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


@contextlib.contextmanager
def _listening(command: list[str], log: Path, port: int) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        until(f"{command[0]} to listen", lambda: _connects(port) or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        yield
    finally:
        end(process)


def _connects(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE).close()
    except OSError:
        return False
    return True
