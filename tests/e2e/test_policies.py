"""Which connections NetworkPolicies permit, measured on the node. All other tests of this level run under the same policies."""

from __future__ import annotations

import pytest

from tests.api.conftest import Space
from tests.e2e.conftest import await_ready
from tests.e2e.test_product import TIME, gateway_pod, pod_of, resource
from tests.support.cluster import SYSTEM

CONNECT = (
    "import socket, sys\n"
    "try: socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=2).close()\n"
    "except TimeoutError: print('silence')\n"
    "except ConnectionRefusedError: print('refused')\n"
    "else: print('connected')\n"
)
API_SERVER = "kubernetes.default.svc.cluster.local", 443
Place = tuple[str, int]


def reaches(space: Space, pod: str, container: str, python: str, place: Place) -> bool:
    """Whether packets of a container arrive: those that a policy forbids are not answered, not even by a refusal."""
    host, port = place
    outcome = space.kubectl("-n", space.name, "exec", pod, "-c", container, "--", python, "-c", CONNECT, host, str(port)).strip()
    assert outcome in ("connected", "refused", "silence"), outcome
    return outcome != "silence"


@pytest.mark.parametrize("enabled", [True, False], ids=["with policies", "without"])
def test_only_who_must_reaches_a_gateway_and_its_servers(space: Space, client_pod: str, enabled: bool) -> None:
    name = f"guarded-{str(enabled).lower()}"
    space.apply(resource(name, TIME, networkPolicy={"enabled": enabled}))
    await_ready(space, name)
    gateway = gateway_pod(space, name)["status"]["podIP"]
    server = pod_of(space, f"app.kubernetes.io/instance={name},mcpgateway.dev/server=time")
    server_name, server_address = server["metadata"]["name"], server["status"]["podIP"]

    def from_client(*place: int | str) -> bool:
        return reaches(space, client_pod, "client", "/opt/venv/bin/python", (str(place[0]), int(place[1])))

    def from_server(*place: int | str) -> bool:
        return reaches(space, server_name, "mcp-time", "python3", (str(place[0]), int(place[1])))

    def seen() -> dict[str, bool]:
        return {
            "client to gateway": from_client(gateway, 8811),
            "client to the gateway's own port": from_client(gateway, 8812),
            "client to bridge": from_client(server_address, 4444),
            "server to gateway": from_server(gateway, 8811),
            "server to the API server": from_server(*API_SERVER),
            "server to another's port of DNS": from_server(gateway, 53),
        }

    found = seen()
    assert not (enabled and all(found.values())), "the cluster's CNI plugin does not enforce NetworkPolicies"
    for what, outcome in found.items():
        assert outcome == (what == "client to gateway" or not enabled), what
    space.delete("mcpgateway", name)


def test_a_server_reaches_the_pods_of_another_namespace_that_its_egress_selects(space: Space) -> None:
    chosen = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": SYSTEM}},
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "mcpgateway-operator"}},
    }
    metrics = 8080  # of the operator
    space.apply(
        resource(
            "selecting",
            {**TIME, "name": "allowed", "egress": {"allow": [{**chosen, "ports": [metrics]}]}},
            {**TIME, "name": "closed", "egress": {"allow": []}},
        )
    )
    await_ready(space, "selecting")
    operator = space.kubectl.get("-n", SYSTEM, "pods", "-l", "app.kubernetes.io/name=mcpgateway-operator")["items"][0]

    def reached(name: str) -> bool:
        pod = pod_of(space, f"app.kubernetes.io/instance=selecting,mcpgateway.dev/server={name}")["metadata"]["name"]
        return reaches(space, pod, f"mcp-{name}", "python3", (operator["status"]["podIP"], metrics))

    assert {name: reached(name) for name in ("allowed", "closed")} == {"allowed": True, "closed": False}
    space.delete("mcpgateway", "selecting")
