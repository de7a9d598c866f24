"""Edits of a live resource, wrong ones and good ones, under the calls of three kinds of client through the Service.

Run by `make edits`, which writes the table in docs/operations.md; without --soak a seeded sample of the good ones.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import Space
from tests.conftest import Scale
from tests.e2e.conftest import TOKEN, await_ready
from tests.e2e.test_product import SCRATCH, resource, url
from tests.support import edits
from tests.support.cluster import Cluster
from tests.support.kubectl import condition, eventually

SEED = 20261128
RATE = 200  # calls a second
SCRIPT = (Path(__file__).parent / "load.py").read_text()
OTHER = "edited"  # a second tag of images
MODES = ("MultiPod", "Sidecar")
STATELESS = SCRATCH | {"stateless": True}


class Load:
    """Clients that call without a pause; `counts` is what they have seen so far."""

    def __init__(self, space: Space, pod: str, name: str, tool: str) -> None:
        command = [space.kubectl.program, "-n", space.name, "exec", "-i", pod, "--", "/opt/venv/bin/python", "-c", SCRIPT]
        command += [url(space, name), TOKEN, tool, '{"text": "x"}', str(RATE)]
        environment = {**os.environ, "KUBECONFIG": str(space.kubectl.kubeconfig)}
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True)
        self.counts: dict[str, Any] = {}
        self.await_calls(1)

    def read(self) -> dict[str, Any]:
        """The next counts."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the load has ended"
        self.counts = json.loads(line)
        return self.counts

    def await_calls(self, more: int) -> None:
        """Go on until so many more calls have been made by each kind of client."""
        kinds = ("modern", "legacy", "sse")
        before = {kind: self.counts.get(kind, 0) for kind in kinds}
        while any(self.counts.get(kind, 0) < before[kind] + more for kind in kinds):
            self.read()

    def end(self) -> dict[str, Any]:
        """Stop calling. Returns: the counts, with the words of what went wrong."""
        out, _ = self._process.communicate("")
        self.counts = json.loads(out.splitlines()[-1])
        return self.counts


@contextmanager
def load(space: Space, pod: str, name: str, tool: str = "scratch_echo") -> Iterator[Load]:
    running = Load(space, pod, name, tool)
    try:
        yield running
    finally:
        running._process.terminate()
        running._process.communicate()


def settled(space: Space, name: str) -> bool:
    """As kstatus decides: observed, Ready and Programmed, neither Reconciling nor Stalled."""
    observed = space.get("mcpgateway", name)
    status = observed.get("status", {})
    current = status.get("observedGeneration") == observed["metadata"]["generation"]
    values = {each["type"]: each["status"] for each in status.get("conditions", [])}
    return (
        current
        and (values.get("Ready"), values.get("Programmed")) == ("True", "True")
        and not {"Reconciling", "Stalled"} & set(values)
    )


def await_settled(space: Space, name: str) -> None:
    eventually(f"{name} to be rolled out", lambda: settled(space, name))


# --- wrong edits: the previous version serves, and the cause is said ------------------------------------------------------------

WRONG: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "image": ({"image": "localhost/no-such-image:1"}, ("ErrImagePull", "ImagePullBackOff")),
    "command": ({"command": ["/no-such-program"]}, ("StartFailed",)),
    "argument": ({"command": ["/server", "--no-such-flag"]}, ("CrashLoopBackOff", "StartFailed", "Exited")),
}


@pytest.mark.parametrize("mode", MODES)
def test_a_wrong_edit_leaves_the_previous_version_serving_and_names_the_cause(space: Space, client_pod: str, mode: str) -> None:
    name = f"wrong-{mode.lower()}"
    space.apply(resource(name, STATELESS, mode=mode))
    await_settled(space, name)
    with load(space, client_pod, name) as running:
        for what in ("image", "command"):
            change, reasons = WRONG[what]
            space.apply(resource(name, STATELESS | change, mode=mode))
            generation = space.get("mcpgateway", name)["metadata"]["generation"]

            def said(generation: int = generation, reasons: tuple[str, ...] = reasons) -> bool:
                observed = space.get("mcpgateway", name)
                stalled = condition(observed, "Stalled")
                current = stalled.get("observedGeneration") == generation
                return (
                    current and stalled["reason"] == "RolloutFailed" and any(reason in stalled["message"] for reason in reasons)
                )

            eventually(f"the cause of the wrong {what}", said)
            observed = space.get("mcpgateway", name)
            assert condition(observed, "Programmed")["status"] == "False"
            assert condition(observed, "Ready")["status"] == "True", "the previous version serves"
            (server,) = observed["status"]["servers"]
            assert server["lastError"]["reason"] in reasons
            running.await_calls(50)
        space.apply(resource(name, STATELESS, mode=mode))
        await_settled(space, name)
        counts = running.end()
    selector = f"involvedObject.kind=MCPGateway,involvedObject.name={name},reason=RolloutFailed"
    assert space.get("events", "--field-selector", selector)["items"]
    assert counts.get("failed", 0) == 0, counts
    space.delete("mcpgateway", name)


def test_a_wrong_gateway_image_is_named_and_the_previous_one_serves(space: Space, client_pod: str) -> None:
    space.apply(resource("wrong-gateway", STATELESS))
    await_settled(space, "wrong-gateway")
    with load(space, client_pod, "wrong-gateway") as running:
        space.apply(resource("wrong-gateway", STATELESS, image="localhost/no-such-gateway:1"))
        reported = space.await_condition("wrong-gateway", "Stalled", "True", "RolloutFailed")
        assert "the rollout of the gateway is stuck: " in reported["message"]
        assert "no-such-gateway" in reported["message"]
        running.await_calls(50)
        space.apply(resource("wrong-gateway", STATELESS))
        await_settled(space, "wrong-gateway")
        counts = running.end()
    assert counts.get("failed", 0) == 0, counts
    space.delete("mcpgateway", "wrong-gateway")


# --- good edits: no call fails --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Edit:
    """A change of a live resource, and the way back."""

    name: str
    change: Callable[[dict[str, Any], Space], None]  # of the resource, in place
    retagged: bool = False  # it needs a second tag of an image


def _server(**fields: Any) -> Callable[[dict[str, Any], Space], None]:
    return lambda body, space: body["spec"]["servers"][0].update(fields)


def _spec(**fields: Any) -> Callable[[dict[str, Any], Space], None]:
    return lambda body, space: body["spec"].update(fields)


def _another_mode(body: dict[str, Any], space: Space) -> None:
    body["spec"]["mode"] = "MultiPod" if body["spec"]["mode"] == "Sidecar" else "Sidecar"


def _another_token(body: dict[str, Any], space: Space) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "further-token"}, "stringData": {"token": "f" * 32}}
    space.apply(secret)
    source = {"name": "further-token", "key": "token"}
    body["spec"]["auth"]["tokens"] += [{"name": "further", "secretKeyRef": source}]


GATEWAY_IMAGE = "ghcr.io/mcpgateway/gateway"
EDITS = (
    Edit("`mode`", _another_mode),
    Edit("`servers[].image`", _server(image=f"ghcr.io/mcpgateway/test-scratch:{OTHER}"), retagged=True),
    Edit("`servers[].args`", _server(args=["--further"])),
    Edit("`servers[].env`", _server(env=[{"name": "K", "value": "v"}])),
    Edit("`servers[].resources`", _server(resources={"limits": {"memory": "200Mi"}})),
    Edit("`servers[].isolation`", _server(isolation="Shared")),
    Edit("`servers[].tools`", _server(tools={"deny": ["never"]})),
    Edit("`auth.tokens`", _another_token),
    Edit("`resources`", _spec(resources={"limits": {"memory": "400Mi"}})),
    Edit("`image`", _spec(image=f"{GATEWAY_IMAGE}:{OTHER}"), retagged=True),
)
UPGRADE = "upgrade of the operator"


def edited(edit: Edit, body: dict[str, Any], space: Space) -> dict[str, Any]:
    changed: dict[str, Any] = json.loads(json.dumps(body))
    edit.change(changed, space)
    return changed


@pytest.fixture(scope="module")
def retagged(cluster: Cluster) -> bool:
    """Whether images have a second tag: on a node of ours. A given cluster has what it has."""
    if cluster.node is None:
        return False
    for image in ("ghcr.io/mcpgateway/test-scratch:0.1.0", f"{GATEWAY_IMAGE}:0.1.0"):
        cluster.node.tag(image, f"{image.rpartition(':')[0]}:{OTHER}")
    return True


def chosen(scale: Scale, *, retagged: bool) -> list[tuple[str, Edit]]:
    """Modes and edits: a seeded sample that always has both switches of the mode, or all."""
    every = [(mode, edit) for mode in MODES for edit in EDITS if retagged or not edit.retagged]
    switches = [(mode, edit) for mode, edit in every if edit.name == "`mode`"]
    others = [pair for pair in every if pair not in switches]
    return switches + random.Random(SEED).sample(others, scale(1, len(others)))


def measured(space: Space, pod: str, name: str, act: Callable[[], None]) -> dict[str, Any]:
    """What clients see of a change and of what comes right after it."""
    with load(space, pod, name) as running:
        running.await_calls(50)
        act()
        await_settled(space, name)
        running.await_calls(100)
        return running.end()


@pytest.mark.timeout(3000)
def test_an_edit_fails_no_call(space: Space, client_pod: str, scale: Scale, retagged: bool) -> None:
    """Each edit and the way back. The server's clients keep nothing in it that they could lose."""
    failures = {}
    for number, (mode, edit) in enumerate(chosen(scale, retagged=retagged)):
        name = f"edit-{number}"
        body = resource(name, STATELESS, mode=mode)
        space.apply(body)
        await_settled(space, name)
        counts = measured(space, client_pod, name, partial(space.apply, edited(edit, body, space)))
        edits.record(edit.name, mode, counts)
        print(edit.name, mode, counts)
        if counts.get("failed"):
            failures[f"{edit.name} {mode}"] = counts
        space.delete("mcpgateway", name)
    assert failures == {}


@pytest.mark.parametrize("mode", MODES)
def test_state_that_an_edit_ends_is_said_once(space: Space, client_pod: str, mode: str) -> None:
    """Of a server that may keep something for each session, every client is told at most once, and nothing else fails."""
    name = f"stateful-{mode.lower()}"
    body = resource(name, SCRATCH, mode=mode)
    space.apply(body)
    await_settled(space, name)
    edit = next(edit for edit in EDITS if edit.name == "`servers[].env`")
    counts = measured(space, client_pod, name, lambda: space.apply(edited(edit, body, space)))
    edits.record(f"{edit.name}, a server with state", mode, counts)
    print(counts)
    assert counts.get("failed", 0) == 0, counts
    assert counts.get("lost", 0) <= 12, "one for each client"
    space.delete("mcpgateway", name)


@pytest.mark.timeout(900)
def test_an_upgrade_of_the_operator_fails_no_call(
    space: Space, client_pod: str, cluster: Cluster, retagged: bool, scale: Scale
) -> None:
    """Another version has another image of the gateway and the bridge."""
    if not retagged:
        pytest.skip("a given cluster has no second version of the images")
    for mode in MODES[: scale(1, 2)]:
        name = f"upgraded-{mode.lower()}"
        space.apply(resource(name, STATELESS, mode=mode))
        await_settled(space, name)
        before = space.get("deployment", name)["metadata"]["generation"]

        def upgrade(name: str = name, before: int = before) -> None:
            cluster.install_operator(f"gatewayImage.tag={OTHER}")
            eventually("the rollout to begin", lambda: space.get("deployment", name)["metadata"]["generation"] > before)

        try:
            counts = measured(space, client_pod, name, upgrade)
        finally:
            cluster.install_operator()
        edits.record(UPGRADE, mode, counts)
        print(counts)
        assert counts.get("failed", 0) == 0, counts
        await_ready(space, name)
        space.delete("mcpgateway", name)
