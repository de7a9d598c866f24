"""pypiserver over TLS with a password: FOLDER HOST PORT CERTIFICATE KEY USER PASSWORD."""

from __future__ import annotations

import ssl
import sys
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pypiserver  # type: ignore[import-not-found]  # in an environment of its own


class Threads(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Quiet(WSGIRequestHandler):
    def address_string(self) -> str:
        return str(self.client_address[0])  # without a look-up of its name


def main(folder: str, host: str, port: str, certificate: str, key: str, user: str, password: str) -> None:
    application = pypiserver.app(
        roots=[folder],
        disable_fallback=True,
        authenticate=["list", "download", "update"],
        auther=lambda given, secret: (given, secret) == (user, password),
        password_file="given by the auther",
    )
    server = make_server(host, int(port), application, server_class=Threads, handler_class=Quiet)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


main(*sys.argv[1:])
