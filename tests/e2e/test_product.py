"""The product, in both modes, as its users meet it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
import yaml

from tests.api.conftest import Space
from tests.conformance import suite
from tests.conformance.suite import Report
from tests.e2e.conftest import CLIENT, TOKEN, await_ready, await_server
from tests.support.cluster import SYSTEM
from tests.support.kubectl import eventually
from tests.support.locks import free_port
from tests.support.metrics import samples
from tests.support.paths import ROOT

SAMPLES = {"MultiPod": "quickstart", "Sidecar": "sidecar"}
TIME = {"name": "time", "image": "ghcr.io/mcpgateway/example-time:0.1.0", "command": ["mcp-server-time"]}
EVERYTHING = {
    "name": "everything",
    "image": "ghcr.io/mcpgateway/example-everything:0.1.0",
    "command": ["mcp-server-everything", "stdio"],
}
SCRATCH = {"name": "scratch", "image": "ghcr.io/mcpgateway/test-scratch:0.1.0", "command": ["/server"]}


def sample(mode: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((ROOT / "examples" / f"{SAMPLES[mode]}.yaml").read_text())
    return document


def resource(name: str, *servers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    tokens = [{"name": "developer", "secretKeyRef": {"name": "mcp-token", "key": "token"}}]
    return {
        "apiVersion": "mcpgateway.dev/v1alpha1",
        "kind": "MCPGateway",
        "metadata": {"name": name},
        "spec": {"auth": {"tokens": tokens}, "servers": list(servers), **spec},
    }


def both_modes(space: Space, name: str) -> tuple[str, str]:
    """A ready gateway in each mode."""
    names = (name, f"{name}-sidecar")
    space.apply(resource(names[0], TIME))
    space.apply(resource(names[1], TIME, mode="Sidecar"))
    for each in names:
        await_ready(space, each)
    return names


def url(space: Space, name: str, path: str = "/mcp") -> str:
    return f"http://{name}.{space.name}.svc:8811{path}"


def pod_of(space: Space, selector: str) -> dict[str, Any]:
    pods = space.get("pods", "-l", selector)["items"]
    (pod,) = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
    observed: dict[str, Any] = pod
    return observed


def gateway_pod(space: Space, name: str) -> dict[str, Any]:
    return pod_of(space, f"app.kubernetes.io/instance={name},app.kubernetes.io/component=gateway")


def kill_time_server(space: Space, mode: str, name: str, sent: str = "SIGKILL") -> None:
    """A signal to the server's process, not to its bridge."""
    selector = (
        f"app.kubernetes.io/instance={name},mcpgateway.dev/server=time"
        if mode == "MultiPod"
        else (f"app.kubernetes.io/instance={name},app.kubernetes.io/component=gateway")
    )
    pod = pod_of(space, selector)["metadata"]["name"]
    code = (
        "import os, signal, sys\n"
        "for pid in filter(str.isdigit, os.listdir('/proc')):\n"
        "    try: line = open(f'/proc/{pid}/cmdline').read()\n"
        "    except OSError: continue\n"
        "    if 'mcp-server-time' in line and 'mcp-bridge' not in line: os.kill(int(pid), signal.Signals[sys.argv[1]])\n"
    )
    space.kubectl("-n", space.name, "exec", pod, "-c", "mcp-time", "--", "python3", "-c", code, sent)


@pytest.mark.parametrize("mode", ["MultiPod", "Sidecar"])
def test_a_gateway_is_a_remote_server_of_another_one(space: Space, new_client: Any, mode: str) -> None:
    """With a header from a Secret that comes later than the gateway."""
    near, far = f"near-{mode.lower()}", f"far-{mode.lower()}"
    space.apply(resource(far, TIME, mode=mode))
    source = {"secretKeyRef": {"name": f"for-{far}", "key": "authorization"}}
    headers = [{"name": "Authorization", "valueFrom": source}]
    inside = {"allow": [{"cidr": "0.0.0.0/0", "ports": [8811]}]}  # private addresses have to be asked for
    space.apply(resource(near, {"name": "far", "url": url(space, far), "headers": headers, "egress": inside}, mode=mode))
    await_ready(space, far)
    await_server(space, near, "far", "MissingReference")
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": f"for-{far}"}}
    space.apply({**secret, "stringData": {"authorization": f"Bearer {TOKEN}"}})
    await_ready(space, near, timeout=180)  # the kubelet retries with its next sync
    client = new_client(url(space, near))
    assert json.loads(client.text("far_time_get_current_time", timezone="UTC"))["timezone"] == "UTC"
    space.delete("mcpgateway", near)
    space.delete("mcpgateway", far)


@pytest.mark.parametrize("mode", ["MultiPod", "Sidecar"])
class TestSamples:
    """apply → wait → get → list and call → kill → heal → delete, with the sample files as they are."""

    @pytest.fixture(autouse=True)
    def applied(self, space: Space, mode: str) -> str:
        space.apply(sample(mode))
        await_ready(space, SAMPLES[mode])
        return SAMPLES[mode]

    def test_get_shows_it(self, space: Space, applied: str, mode: str) -> None:
        row = space.kubectl("-n", space.name, "get", "mcpgateways", applied).splitlines()[1].split()
        assert row[:6] == [applied, "True", "2/2", "15", mode, url(space, applied)]

    @pytest.mark.parametrize("era", ["legacy", "auto"])
    def test_a_client_lists_and_calls_tools_of_both_servers(self, space: Space, applied: str, new_client: Any, era: str) -> None:
        client = new_client(url(space, applied), mode=era)
        tools = client.tools()
        assert {"time_get_current_time", "time_convert_time", "everything_echo"} <= set(tools)
        assert len(tools) == 15
        assert json.loads(client.text("time_get_current_time", timezone="UTC"))["timezone"] == "UTC"
        assert client.text("everything_echo", message="grüße") == "Echo: grüße"

    def test_without_the_token_it_is_401(self, space: Space, applied: str, new_client: Any) -> None:
        client = new_client()
        body = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
        assert client.do("post", url=url(space, applied), body=body)["status"] == 401
        assert client.do("post", url=url(space, applied), body=body, token="wrong")["status"] == 401
        assert client.do("get", url=url(space, applied, "/health"))["status"] == 200

    def test_a_killed_process_fails_its_call_by_name_and_the_next_one_works(
        self, space: Space, applied: str, new_client: Any, mode: str
    ) -> None:
        client = new_client(url(space, applied))
        assert client.text("time_get_current_time", timezone="UTC")
        kill_time_server(space, mode, applied)
        answers = [client.call("time_get_current_time", timezone="UTC") for _ in range(2)]
        if "error" in answers[0]:
            assert "server 'time': Exited: its process ended, killed by SIGKILL" in answers[0]["error"]
            assert answers[0]["data"]["exitCode"] == 137
        assert "text" in answers[1], answers
        await_ready(space, applied)
        eventually("the restart to be counted", lambda: _row(space, applied, "time")["restarts"] >= 1)

    def test_a_deleted_deployment_is_back(self, space: Space, applied: str, mode: str, new_client: Any) -> None:
        name = f"{applied}-time" if mode == "MultiPod" else applied
        old = space.get("deployment", name)
        space.delete("deployment", name)
        eventually("it to be back", lambda: (space.find("deployment", name) or old)["metadata"]["uid"] != old["metadata"]["uid"])

        def serves() -> bool:
            await_ready(space, applied)
            return bool(_row(space, applied, "time")["state"] == "Ready")

        eventually("its tools to answer again", serves)
        client = new_client()

        def calls() -> bool:
            opened = client.do("open", url=url(space, applied), token=TOKEN, mode="auto")
            return "error" not in opened and "text" in client.call("time_get_current_time", timezone="UTC")

        eventually("a call", calls)


def _row(space: Space, name: str, server: str) -> dict[str, Any]:
    rows = space.get("mcpgateway", name)["status"]["servers"]
    return next((row for row in rows if row["name"] == server), {})


def test_another_server_in_multi_pod_mode_leaves_the_gateway_and_its_sessions_alone(space: Space, new_client: Any) -> None:
    space.apply(resource("growing", TIME, EVERYTHING))
    await_ready(space, "growing")
    before = gateway_pod(space, "growing")["metadata"]["uid"]
    client = new_client(url(space, "growing"), mode="legacy")
    assert len(client.tools()) == 15
    space.apply(resource("growing", TIME, EVERYTHING, TIME | {"name": "clock"}))
    eventually("the third server", lambda: _row(space, "growing", "clock").get("state") == "Ready")
    assert "clock_get_current_time" in client.tools()
    assert json.loads(client.text("clock_get_current_time", timezone="UTC"))["timezone"] == "UTC"
    assert client.text("everything_echo", message="still here") == "Echo: still here"
    pod = gateway_pod(space, "growing")
    assert pod["metadata"]["uid"] == before
    assert [c["restartCount"] for c in pod["status"]["containerStatuses"]] == [0]
    space.apply(resource("growing", TIME))
    eventually("the others to go", lambda: client.tools() == ["time_get_current_time", "time_convert_time"])
    eventually("their objects, too", lambda: space.find("deployment", "growing-clock") is None)


def test_a_replaced_gateway_pod_goes_on_with_the_sessions_and_their_processes(space: Space, new_client: Any) -> None:
    space.apply(resource("replaced", EVERYTHING))
    await_ready(space, "replaced")
    client = new_client(url(space, "replaced"), mode="legacy")
    assert "Started" in client.text("everything_toggle-simulated-logging")
    before = gateway_pod(space, "replaced")["metadata"]["uid"]
    space.kubectl("-n", space.name, "rollout", "restart", "deployment/replaced")
    space.kubectl("-n", space.name, "rollout", "status", "deployment/replaced", "--timeout=90s")
    eventually("the previous pod to go", lambda: len(_gateway_pods(space, "replaced")) == 1)
    assert gateway_pod(space, "replaced")["metadata"]["uid"] != before
    assert "Stopped" in client.text("everything_toggle-simulated-logging"), "its process has not kept its state"


def _gateway_pods(space: Space, name: str) -> list[dict[str, Any]]:
    selector = f"app.kubernetes.io/instance={name},app.kubernetes.io/component=gateway"
    return list(space.get("pods", "-l", selector)["items"])


def test_the_mode_is_switched_on_a_live_resource(space: Space, new_client: Any) -> None:
    space.apply(resource("turning", TIME))
    await_ready(space, "turning")
    for mode, others in (("Sidecar", 0), ("MultiPod", 1)):
        space.apply(resource("turning", TIME, mode=mode))

        def switched(mode: str = mode, others: int = others) -> bool:
            observed = space.get("mcpgateway", "turning")
            ready = [c for c in observed["status"]["conditions"] if c["type"] in ("Ready", "Programmed")]
            pods = space.get("pods", "-l", "app.kubernetes.io/instance=turning")["items"]
            servers = [p for p in pods if p["metadata"]["labels"]["app.kubernetes.io/component"] == "server"]
            current = all(c["status"] == "True" and c["observedGeneration"] == observed["metadata"]["generation"] for c in ready)
            return current and len(servers) == others

        eventually(f"mode {mode}", switched)
        client = new_client(url(space, "turning"))
        assert json.loads(client.text("time_get_current_time", timezone="UTC"))["timezone"] == "UTC"


@pytest.mark.parametrize("mode", ["MultiPod", "Sidecar"])
@pytest.mark.parametrize(
    ("broken", "reason", "words"),
    [
        ({"command": ["no-such-program"]}, "StartFailed", 'command "no-such-program" is not on PATH'),
        (
            {"env": [{"name": "K", "valueFrom": {"secretKeyRef": {"name": "absent", "key": "k"}}}]},
            "MissingReference",
            "secrets/absent/k",
        ),
        ({"image": "localhost/no-such-image:1"}, None, "no-such-image"),
    ],
    ids=["command", "secret", "image"],
)
def test_a_broken_server_is_named_and_the_others_serve(
    space: Space, new_client: Any, mode: str, broken: dict[str, Any], reason: str | None, words: str
) -> None:
    name = f"broken-{mode.lower()}-{(reason or 'image').lower()}"
    space.apply(resource(name, EVERYTHING, TIME | broken, mode=mode))

    def named() -> bool:
        error = _row(space, name, "time").get("lastError", {})
        return words in error.get("message", "") and reason in (None, error["reason"])

    eventually("the reason", named)
    eventually("the other one", lambda: _row(space, name, "everything").get("state") == "Ready")
    ready = space.await_condition(name, "Ready", "False", "ServerNotReady")
    assert "server time is" in ready["message"]
    if reason == "MissingReference":
        assert space.condition(name, "ResolvedRefs")["status"] == "False"
    client = new_client(url(space, name))
    assert client.text("everything_echo", message="unharmed") == "Echo: unharmed"
    space.apply(resource(name, EVERYTHING, TIME, mode=mode))
    await_ready(space, name, timeout=120)
    space.delete("mcpgateway", name)


@pytest.mark.parametrize("mode", ["MultiPod", "Sidecar"])
def test_a_server_in_an_image_without_shell_or_libc(space: Space, new_client: Any, mode: str) -> None:
    name = f"scratch-{mode.lower()}"
    space.apply(resource(name, SCRATCH, mode=mode))
    await_ready(space, name)
    client = new_client(url(space, name))
    assert client.text("scratch_echo", text="bare") == "bare"
    space.delete("mcpgateway", name)


def test_a_missing_secret_heals_when_it_appears_and_reaches_the_server(space: Space) -> None:
    late = {"name": "K", "valueFrom": {"secretKeyRef": {"name": "late", "key": "k"}}}
    space.apply(resource("waiting", TIME | {"env": [late]}))
    await_server(space, "waiting", "time", "MissingReference")
    space.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "late"}, "stringData": {"k": "v"}})
    await_ready(space, "waiting", timeout=150)  # a kubelet retries a missing mount with its next sync


def test_a_missing_token_fails_closed_and_is_named(space: Space, new_client: Any) -> None:
    body = resource("locked", TIME)
    body["spec"]["auth"]["tokens"][0]["secretKeyRef"]["name"] = "no-token"
    space.apply(body)
    observed = space.await_condition("locked", "Ready", "False", "MissingReference")
    assert observed["message"] == "token Secrets are missing: no-token/token; clients with these tokens receive 401"
    assert new_client().do("post", url=url(space, "locked"), body={"jsonrpc": "2.0", "id": 1, "method": "ping"})["status"] == 401


@contextlib.contextmanager
def forward(space: Space, name: str) -> Iterator[str]:
    """A gateway's URL on this machine, once it answers."""
    port = free_port()
    command = [space.kubectl.program, "-n", space.name, "port-forward", f"service/{name}", f"{port}:8811"]
    environment = {**os.environ, "KUBECONFIG": str(space.kubectl.kubeconfig)}

    def answers() -> bool:
        try:
            return httpx2.get(f"http://127.0.0.1:{port}/health", timeout=10).status_code == 200
        except httpx2.TransportError:
            return False

    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            eventually("the forward", answers)
            yield f"http://127.0.0.1:{port}/mcp"
        finally:
            process.terminate()


def test_a_laptop_reaches_it_by_port_forward(space: Space) -> None:
    """The README's way: kubectl port-forward, then a client on this machine."""
    space.apply(resource("forwarded", TIME))
    await_ready(space, "forwarded")
    ask = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-11-25"}}
    headers = {"Authorization": f"Bearer {TOKEN}", "Accept": "application/json, text/event-stream"}
    with forward(space, "forwarded") as there:
        answer = httpx2.post(there, json=ask, headers=headers, timeout=10)
    assert answer.json()["result"]["serverInfo"]["name"] == "forwarded"


@pytest.mark.timeout(900)
@pytest.mark.parametrize("mode", ["MultiPod", "Sidecar"])
def test_the_conformance_suite_passes_as_without_a_gateway(space: Space, mode: str, baseline: dict[str, Report]) -> None:
    name = f"conformance-{mode.lower()}"
    fixture = {"name": "fixture", "image": CLIENT, "command": ["/opt/venv/bin/python", "/fixture.py"]}
    spec = {"auth": {"allowUnauthenticated": True}, "toolNames": {"prefix": "Never"}, "mode": mode}
    space.apply(resource(name, fixture, **spec))
    await_ready(space, name)
    with forward(space, name) as there:
        for run, flags in suite.RUNS.items():
            assert suite.run(there, *flags).missing(baseline[run]) == {}, run
    space.delete("mcpgateway", name)


def test_a_new_operator_writes_nothing_in_an_unchanged_world(space: Space) -> None:
    """Also with running pods, whose reports and addresses it has to learn again."""
    both_modes(space, "steady")

    def versions() -> dict[str, str]:
        kinds = "mcpgateways,deployments,services,configmaps,networkpolicies,secrets,pods"
        items = space.get(kinds)["items"]
        return {f"{i['kind']}/{i['metadata']['name']}": i["metadata"]["resourceVersion"] for i in items if _steady(i)}

    def unchanged() -> bool:
        before = versions()
        space.kubectl("-n", SYSTEM, "rollout", "restart", "deployment/mcpgateway")
        space.kubectl("-n", SYSTEM, "rollout", "status", "deployment/mcpgateway", "--timeout=60s")
        eventually("its first passes", lambda: _at_rest(space))
        return versions() == before

    eventually("a restart without a write", unchanged)


def _steady(item: dict[str, Any]) -> bool:
    return bool(item["metadata"]["name"].startswith("steady"))


def _at_rest(space: Space) -> bool:
    """Whether the operator has passed over every gateway, and none waits."""
    pods = space.kubectl.get("-n", SYSTEM, "pods", "-l", "app.kubernetes.io/instance=mcpgateway")["items"]
    pod = max(pods, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))["metadata"]["name"]
    seen = samples(space.kubectl("get", "--raw", f"/api/v1/namespaces/{SYSTEM}/pods/{pod}:8080/proxy/metrics"))
    gateways = len(space.kubectl.get("mcpgateways", "-A")["items"])
    passes = seen['mcpgateway_operator_reconciles_total{result="success"}']
    return passes >= gateways and seen["mcpgateway_operator_queue_depth"] == 0


def test_all_pods_are_restricted_and_nobody_has_a_service_account_token(space: Space) -> None:
    both_modes(space, "restricted")
    labels = space.kubectl.get("namespace", space.name)["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    pods = space.get("pods", "-l", "app.kubernetes.io/managed-by=mcpgateway-operator")["items"]
    assert pods
    for pod in pods:
        sources = [source for volume in pod["spec"]["volumes"] for source in volume.get("projected", {}).get("sources", [])]
        assert not [source for source in sources if "serviceAccountToken" in source]


def test_deletion_leaves_no_object(space: Space) -> None:
    both_modes(space, "deleted")
    space.delete("mcpgateways", "--all")
    selector = ("-l", "app.kubernetes.io/managed-by=mcpgateway-operator")
    kinds = "deployments,replicasets,pods,services,configmaps,secrets,networkpolicies,endpointslices"
    eventually("everything to be gone", lambda: space.get(kinds, *selector)["items"] == [])
