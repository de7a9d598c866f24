"""nginx in front, as it is often installed: kept connections to the gateway, and the usual map for WebSockets."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.gateway.test_edge_requests import body_of, request
from tests.support.bridges import until
from tests.support.edges import RawConnection, RunningEdge, running_edge
from tests.support.gateways import TOKEN
from tests.support.proxies import nginx
from tests.support.waiting import PATIENCE

SERVER = """
    location = /admin { return 403; }
    location / {
      proxy_pass http://gateway;
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_request_buffering off;
      proxy_buffering off;
    }
"""


class Proxied(NamedTuple):
    edge: RunningEdge
    port: int  # of nginx


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    folder = tmp_path_factory.mktemp("nginx")
    with running_edge(folder) as edge, nginx(folder, SERVER, gateway=edge.port) as port:
        yield Proxied(edge, port)


def answered(raw: RawConnection, id: int) -> None:
    """One response with this id, in chunks or with a length."""
    status, headers = raw.head()
    assert status == 200, headers
    assert headers.get("transfer-encoding") is None
    assert json.loads(raw.file.read(int(headers["content-length"])))["id"] == id


def test_requests_pass_over_kept_connections(proxied: Proxied) -> None:
    with RawConnection(proxied.port) as raw:
        for id in range(50):
            raw.send(request(id))
            answered(raw, id)
    assert proxied.edge.edge.guard.connections <= 4, "nginx keeps so many, and needs no more"


@pytest.mark.parametrize("protocol", ["websocket", "h2c"])
def test_no_request_is_smuggled_in_the_body_of_a_request_to_upgrade(proxied: Proxied, protocol: str) -> None:
    served = proxied.edge.server.server_state
    smuggled = request(66, target="/admin")
    with RawConnection(proxied.port) as raw:
        for id in range(3):
            raw.send(request(id))
            answered(raw, id)
        before = served.total_requests
        raw.send(request(1, "Connection: Upgrade", f"Upgrade: {protocol}", body=smuggled))
        status, body = raw.response()
        assert (status, json.loads(body)["error"]["code"]) == (400, -32700), "the body is no JSON"
        raw.send(request(2, "Connection: Upgrade", f"Upgrade: {protocol}"))
        answered(raw, 2)
        raw.send(request(3))
        answered(raw, 3)
        assert served.total_requests == before + 3


def test_streams_pass(proxied: Proxied) -> None:
    with RawConnection(proxied.port) as raw:
        raw.send(f"GET /sse HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
        status, headers = raw.head()
        assert (status, headers["content-type"], headers["transfer-encoding"]) == (200, "text/event-stream", "chunked")
        assert int(raw.file.readline(), 16) > 0
        assert raw.file.readline() == b"event: endpoint\n"
    until("the stream to end with its client", lambda: not proxied.edge.server.server_state.tasks)


def test_a_client_that_leaves_in_the_middle_of_a_body_spoils_no_kept_connection(proxied: Proxied) -> None:
    for id in range(10):
        with RawConnection(proxied.port) as leaving:
            leaving.send(request(id)[:-20])
        with RawConnection(proxied.port) as raw:
            raw.send(request(id))
            answered(raw, id)


def test_many_clients_get_their_own_responses(proxied: Proxied) -> None:
    failures: list[str] = []

    def client(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", proxied.port, timeout=PATIENCE)
        with contextlib.closing(connection):
            ask(number, connection)

    def ask(number: int, connection: http.client.HTTPConnection) -> None:
        fields = {
            "Authorization": f"Bearer {TOKEN}",
            "Content-Type": "application/json",
            "MCP-Protocol-Version": "2026-07-28",
            "Mcp-Method": "tools/list",
            "Host": "localhost",
        }
        for id in range(number * 1000, number * 1000 + 30):
            connection.request("POST", "/mcp/", body_of(id), fields)
            response = connection.getresponse()
            content = json.loads(response.read())
            if (response.status, content["id"]) != (200, id):
                failures.append(f"{id}: {response.status} {content}")

    clients = [threading.Thread(target=client, args=(number,)) for number in range(12)]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join(PATIENCE)
    assert not failures
    assert not any(thread.is_alive() for thread in clients)
