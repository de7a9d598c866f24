"""Proxies from Debian, in front of a port on loopback."""

from __future__ import annotations

import contextlib
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

from . import tools
from .bridges import until
from .locks import free_port
from .processes import end
from .waiting import PATIENCE

NGINX, HAPROXY = "/usr/sbin/nginx", "/usr/sbin/haproxy"
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
  upstream gateway {{ server 127.0.0.1:{gateway}; keepalive 4; }}
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
def nginx(folder: Path, server: str, *, gateway: int, listen: str = "") -> Iterator[int]:
    """An nginx with this server block, in which the upstream `gateway` is that port. Yields: the port where it listens."""
    tools.require("gateway", {NGINX: "nginx-light"})
    port, file = free_port(), folder / "nginx.conf"
    folder.mkdir(exist_ok=True)
    file.write_text(_NGINX.format(folder=folder, gateway=gateway, port=port, listen=listen, server=server))
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
