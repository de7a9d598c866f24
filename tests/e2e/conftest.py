"""The whole product on a real node: chart, images, and clients that run as pods."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.conftest import Space
from tests.conformance.direct import baseline, direct  # noqa: F401 - fixtures
from tests.support import cluster as clusters
from tests.support import given_cluster, images, policing, tools
from tests.support.cluster import SYSTEM, Cluster
from tests.support.kubectl import Kubectl, eventually
from tests.support.waiting import PATIENCE

TOKEN = "e2e-token-not-a-secret"
CLIENT = next(image for image in images.ALL if image.name == "test-client").reference
_numbers = itertools.count()


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    try:
        with clusters.cluster() as result:
            if result.node is not None:
                result.load(images.build())
            else:
                given_cluster.check(result.kubectl)
            result.install_operator()
            with policing.enforced(result.kubectl) if result.node is not None else contextlib.nullcontext():
                yield result
    except tools.CannotRunError as error:
        tools.cannot_run("e2e", error)


@pytest.fixture(scope="module")
def space(cluster: Cluster) -> Iterator[Space]:
    """A namespace that enforces restricted, with the token, for the tests of one module."""
    name = f"e2e-{os.getpid()}-{next(_numbers)}"
    clusters.make_namespace(cluster.kubectl, name)
    result = Space(cluster.kubectl, name)
    result.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "mcp-token"}, "stringData": {"token": TOKEN}})
    yield result
    cluster.kubectl("delete", "namespace", name, "--wait=false")


class Client:
    """The SDK's client in a pod, driven line by line."""

    def __init__(self, kubectl: Kubectl, namespace: str, pod: str) -> None:
        command = [kubectl.program, "-n", namespace, "exec", "-i", pod, "--", "/opt/venv/bin/python", "/client.py"]
        environment = {**os.environ, "KUBECONFIG": str(kubectl.kubeconfig)}
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True)

    def do(self, what: str, **arguments: Any) -> dict[str, Any]:
        """One command and its answer, whatever it is."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": what, **arguments}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the client has ended"
        answer: dict[str, Any] = json.loads(line)
        return answer

    def open(self, url: str, *, mode: str, token: str = TOKEN) -> None:
        """Connect. A node learns of new endpoints a moment after everybody else: till then it refuses connections."""

        def connect() -> bool:
            answer = self.do("open", url=url, token=token, mode=mode)
            if "ConnectError" in answer.get("error", ""):
                return False
            assert "error" not in answer, answer
            return True

        eventually("the node to know the endpoints", connect)

    def tools(self) -> list[str]:
        answer = self.do("list")
        assert "tools" in answer, answer
        return list(answer["tools"])

    def call(self, name: str, **arguments: Any) -> dict[str, Any]:
        return self.do("call", name=name, arguments=arguments)

    def text(self, name: str, **arguments: Any) -> str:
        answer = self.call(name, **arguments)
        assert "text" in answer, answer
        return str(answer["text"])

    def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        with self._process:
            try:
                self._process.wait(timeout=PATIENCE)
            except subprocess.TimeoutExpired:  # after a long silence kubectl may not pass on the end of the input
                self._process.kill()


@pytest.fixture(scope="module")
def client_pod(space: Space) -> str:
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True}
    space.apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "client"},
            "spec": {
                "automountServiceAccountToken": False,
                "terminationGracePeriodSeconds": 0,
                "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [
                    {
                        "name": "client",
                        "image": CLIENT,
                        "imagePullPolicy": "IfNotPresent",
                        "args": ["wait"],
                        "securityContext": security,
                    }
                ],
            },
        }
    )
    space.kubectl("-n", space.name, "wait", "--for=condition=Ready", "pod/client", "--timeout=90s")
    return "client"


@pytest.fixture
def new_client(space: Space, client_pod: str) -> Iterator[Any]:
    clients: list[Client] = []

    def make(url: str | None = None, *, mode: str = "auto") -> Client:
        client = Client(space.kubectl, space.name, client_pod)
        clients.append(client)
        if url is not None:
            client.open(url, mode=mode)
        return client

    yield make
    for client in clients:
        client.end()


def await_ready(space: Space, name: str, timeout: int = 90) -> None:
    """As a person would wait."""
    wait = ("wait", "--for=condition=Ready", f"mcpgateway/{name}", f"--timeout={timeout}s")
    space.kubectl("-n", space.name, *wait, timeout=timeout + 10)


def await_server(space: Space, name: str, server: str, reason: str) -> dict[str, Any]:
    """Wait for a server's lastError."""

    def look() -> Any:
        rows = (space.get("mcpgateway", name).get("status") or {}).get("servers", [])
        return next((row for row in rows if row["name"] == server and row.get("lastError", {}).get("reason") == reason), None)

    result: dict[str, Any] = eventually(f"{server} to be {reason}", look)
    return result


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """On failure show what the cluster knew: resource, objects, events, logs."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    space = getattr(item, "funcargs", {}).get("space")
    if report.when in ("setup", "call") and report.failed and isinstance(space, Space):
        k = space.kubectl
        kinds = "mcpgateways,deployments,pods,services,configmaps"
        report.sections.append(("objects", k("-n", space.name, "get", kinds, "-o", "wide", check=False)))
        report.sections.append(("resources", k("-n", space.name, "get", "mcpgateways", "-o", "yaml", check=False)))
        report.sections.append(("events", k("-n", space.name, "get", "events", "--sort-by=.lastTimestamp", check=False)))
        label = "app.kubernetes.io/managed-by=mcpgateway-operator"
        logs = k("-n", space.name, "logs", "-l", label, "--all-containers", "--prefix", "--tail=40", check=False)
        report.sections.append(("logs", logs))
        operator = k("-n", SYSTEM, "logs", "-l", "app.kubernetes.io/instance=mcpgateway", "--tail=60", check=False)
        report.sections.append(("operator", operator))
