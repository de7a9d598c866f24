"""Which connections NetworkPolicies permit, measured on the node. All other tests of this level run under the same policies."""

from __future__ import annotations

import pytest

from tests.api.conftest import Space
from tests.e2e.conftest import await_ready
from tests.e2e.test_product import TIME, gateway_pod, pod_of, resource

CONNECT = (
    "import socket, sys\n"
    "try: socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=2).close()\n"
    "except TimeoutError: print('silence')\n"
    "else: print('connected')\n"
)
API_SERVER = "kubernetes.default.svc.cluster.local", 443
Place = tuple[str, int]


def reaches(space: Space, pod: str, container: str, python: str, place: Place) -> bool:
    """Whether a connection from a container is accepted; packets that a policy forbids are not answered."""
    host, port = place
    outcome = space.kubectl("-n", space.name, "exec", pod, "-c", container, "--", python, "-c", CONNECT, host, str(port)).strip()
    assert outcome in ("connected", "silence"), outcome
    return outcome == "connected"


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
        }

    found = seen()
    assert not (enabled and all(found.values())), "the cluster's CNI plugin does not enforce NetworkPolicies"
    for what, outcome in found.items():
        assert outcome == (what == "client to gateway" or not enabled), what
    space.delete("mcpgateway", name)
