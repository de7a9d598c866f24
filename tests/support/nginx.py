"""nginx from Debian, in front of a port on loopback."""

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

PROGRAM = "/usr/sbin/nginx"
# https://nginx.org/en/docs/http/websocket.html and https://nginx.org/en/docs/http/ngx_http_upstream_module.html#keepalive
_CONFIGURATION = """
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


@contextlib.contextmanager
def nginx(folder: Path, server: str, *, gateway: int, listen: str = "") -> Iterator[int]:
    """An nginx with this server block, in which the upstream `gateway` is that port. Yields: the port where it listens."""
    tools.require("gateway", {PROGRAM: "nginx-light"})
    folder.mkdir(exist_ok=True)
    port = free_port()
    text = _CONFIGURATION.format(folder=folder, gateway=gateway, port=port, listen=listen, server=server)
    (folder / "nginx.conf").write_text(text)
    with (folder / "nginx.log").open("wb") as log:
        process = subprocess.Popen([PROGRAM, "-p", str(folder), "-c", str(folder / "nginx.conf")], stderr=log)
    try:
        until("nginx to listen", lambda: _connects(port) or process.poll() is not None)
        assert process.poll() is None, (folder / "nginx.log").read_text()
        yield port
    finally:
        end(process)


def _connects(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE).close()
    except OSError:
        return False
    return True
