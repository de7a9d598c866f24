"""Clients from outside: through a real ingress controller, by Ingress and by HTTPRoute."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.conftest import Space
from tests.e2e.conftest import TOKEN, Client, await_ready
from tests.e2e.test_product import TIME, resource
from tests.support import ingress
from tests.support.cluster import SYSTEM, Cluster
from tests.support.kubectl import eventually

INGRESS = {"ingress": {"host": "ingress.example.com", "className": ingress.CLASS, "path": "/team-a/"}}
PARENTS = [{**ingress.PARENT, "sectionName": "http"}]
ROUTE = {"httpRoute": {"hostnames": ["route.example.com"], "parentRefs": PARENTS, "path": "/team-b"}}
PREFIXES = {"ingress.example.com": "/team-a", "route.example.com": "/team-b"}
INITIALIZE: dict[str, Any] = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}


@pytest.fixture(scope="module")
def entrance(cluster: Cluster) -> Iterator[str]:
    """Where the controller takes requests; the operator may make its objects."""
    if cluster.node is not None:
        ingress.serve(cluster.node)
    else:
        ingress.open_gateway(cluster.kubectl)
    try:
        cluster.install_operator("optionalAPIs.ingress=true", "optionalAPIs.httpRoute=true")
        assert may_write_routes(cluster)
        yield ingress.THEIRS if cluster.node is None else ingress.OURS
    finally:
        cluster.install_operator()
    assert not may_write_routes(cluster), "the operator keeps rights that only these tests give it"


def may_write_routes(cluster: Cluster) -> bool:
    """Whether the operator may write Ingresses and HTTPRoutes."""
    account = f"--as=system:serviceaccount:{SYSTEM}:mcpgateway"
    kinds = "ingresses.networking.k8s.io", "httproutes.gateway.networking.k8s.io"
    answers = [cluster.kubectl("auth", "can-i", "patch", kind, "-A", account, check=False).strip() for kind in kinds]
    assert len(set(answers)) == 1, answers
    return answers[0] == "yes"


def ask(client: Client, entrance: str, host: str, method: str, session: str = "", **params: Any) -> dict[str, Any]:
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    more = {"Host": host, **({"Mcp-Session-Id": session} if session else {})}
    return client.do("post", url=f"{entrance}{PREFIXES.get(host, '')}/mcp", token=TOKEN, body=body, more=more, patience=30)


@pytest.mark.parametrize("spec", [INGRESS, ROUTE], ids=["Ingress", "HTTPRoute"])
@pytest.mark.timeout(400)
def test_a_client_from_outside_is_served(space: Space, new_client: Any, entrance: str, spec: dict[str, Any]) -> None:
    host = spec["ingress"]["host"] if "ingress" in spec else spec["httpRoute"]["hostnames"][0]
    name = host.partition(".")[0]
    space.apply(resource(name, TIME, **spec))
    await_ready(space, name)
    assert space.get("mcpgateway", name)["status"]["url"] == f"http://{host}{PREFIXES[host]}/mcp"
    client = new_client()

    def opened() -> dict[str, Any] | None:
        answer = ask(client, entrance, host, "initialize", **INITIALIZE)
        return answer if answer.get("status") == 200 else None

    answer = eventually("the controller to have the route", opened)
    session = answer["headers"]["mcp-session-id"]
    called = ask(client, entrance, host, "tools/call", session, name="time_get_current_time", arguments={"timezone": "UTC"})
    assert (called["status"], "datetime" in called["body"]) == (200, True), called
    assert ask(client, entrance, "other.example.com", "initialize", **INITIALIZE)["status"] == 404, "a host without a route"
    space.delete("mcpgateway", name)

    def gone() -> bool:
        """With its last route the listener itself may go: then connections are refused."""
        answer = ask(client, entrance, host, "ping", session)
        return answer.get("status") == 404 or "ConnectError" in answer.get("error", "")

    eventually("the route to go", gone)
