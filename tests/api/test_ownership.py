"""Whose a gateway is (O2): two operators that see it, and others that change its objects again and again."""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import Space
from tests.conftest import Scale
from tests.support import operators
from tests.support.apiproxy import ApiProxy
from tests.support.cluster import SYSTEM
from tests.support.controlplane import ControlPlane
from tests.support.kubectl import KubectlError, eventually
from tests.support.resources import gateway, server

FIRST = f"{SYSTEM}/mcpgateway"
PATIENCE = 10  # seconds; the product's default is five minutes


@dataclass
class Release:
    """An operator of one release, as its chart's account, whose requests are counted."""

    identity: str
    kubeconfig: Path
    proxy: ApiProxy
    folder: Path
    flags: tuple[str, ...]

    def running(self) -> contextlib.AbstractContextManager[Path]:
        return operators.operator(self.kubeconfig, self.folder, *self.flags)

    def writes(self, path: str = "") -> int:
        return len(self.proxy.writes(path))


def release(plane: ControlPlane, proxy: ApiProxy, folder: Path, namespace: str, watched: str, image: str) -> Release:
    folder.mkdir(exist_ok=True)
    account = operators.kubeconfig_for(plane.kubectl, folder, namespace=namespace)
    flags = f"--own-namespace={namespace}", "--name=mcpgateway", f"--namespace={watched}", f"--takeover-after={PATIENCE}"
    image_flag = f"--gateway-image={image}"
    return Release(f"{namespace}/mcpgateway", proxy.kubeconfig(account, folder), proxy, folder, (*flags, image_flag))


@pytest.fixture
def first(plane: ControlPlane, space: Space, proxy: ApiProxy, tmp_path: Path) -> Release:
    """The cluster-wide release; here it looks at one namespace."""
    return release(plane, proxy, tmp_path / "first", SYSTEM, space.name, "gateway:first")


@pytest.fixture
def second(plane: ControlPlane, space: Space, tmp_path: Path) -> Iterator[Release]:
    """A release in the gateways' own namespace, with a Role only and with another image."""
    operators.install_rights(plane.kubectl, "scope=Namespace", "crds.enabled=false", namespace=space.name)
    with ApiProxy(plane).serving() as proxy:
        yield release(plane, proxy, tmp_path / "second", space.name, space.name, "gateway:second")


def manager(space: Space, name: str = "demo") -> str:
    return str(space.get("mcpgateway", name).get("status", {}).get("operator", ""))


def image(space: Space, name: str = "demo") -> str:
    return str(space.get("deployment", name)["spec"]["template"]["spec"]["containers"][0]["image"])


def notice(space: Space, name: str = "demo") -> str:
    return str(space.condition(name, "ManagedElsewhere").get("message", ""))


def at_rest(space: Space, *releases: Release, seconds: float = 2) -> bool:
    """Whether none of them writes anything for so long."""
    before = [each.writes(f"/{space.name}/") for each in releases]
    time.sleep(seconds)
    return before == [each.writes(f"/{space.name}/") for each in releases]


def test_the_second_operator_stands_back_and_takes_over_when_the_first_is_gone(
    space: Space, first: Release, second: Release, scale: Scale
) -> None:
    with contextlib.ExitStack() as stack:
        old = stack.enter_context(first.running())
        space.apply(gateway())
        space.await_condition("demo", "Ready", "False", "GatewayNotReady")
        assert (manager(space), image(space)) == (first.identity, "gateway:first")
        eventually("the first one to rest", lambda: at_rest(space, first))
        stack.enter_context(second.running())
        told = eventually("what the second one says", lambda: notice(space))
        assert told == f"{FIRST} manages this MCPGateway: another operator that watches it, too, stands back"
        assert [e["type"] for e in space.get("events", "--field-selector=reason=ManagedElsewhere")["items"]] == ["Normal"]
        eventually("both to rest", lambda: at_rest(space, first, second))
        assert second.writes(f"/{space.name}/") == 2, "the condition and the event"
        assert at_rest(space, first, second, seconds=scale(8, 600))
        space.apply(gateway("demo", server("time"), server("git")))
        eventually("the first one's work", lambda: space.find("deployment", "demo-git"))
        assert second.writes(f"/{space.name}/") == 2

        operators.kill(old)  # its Lease is not released
        eventually("the second one to take over", lambda: manager(space) == second.identity)
        eventually("its work", lambda: image(space) == "gateway:second")
        assert notice(space) == ""
        stack.enter_context(first.running())
        eventually("the first one to stand back", lambda: notice(space).startswith(f"{second.identity} manages"))
        eventually("both to rest", lambda: at_rest(space, first, second))
        assert image(space) == "gateway:second"


def test_of_two_operators_that_start_together_each_gateway_has_one(space: Space, first: Release, second: Release) -> None:
    """Each is claimed before it has any object, so that not one object is written by both."""
    with first.running(), second.running():
        names = [f"g{number}" for number in range(4)]
        for name in names:
            space.apply(gateway(name))
        for name in names:
            space.await_condition(name, "Ready", "False", "GatewayNotReady")
            eventually("the other one's notice", partial(notice, space, name))
        eventually("both to rest", lambda: at_rest(space, first, second))
        for name in names:
            assert image(space, name) == ("gateway:first" if manager(space, name) == first.identity else "gateway:second")
            assert notice(space, name).startswith(f"{manager(space, name)} manages")
        writers = [
            {f"{r.path}" for r in each.proxy.writes(f"/{space.name}/") if "/events" not in r.path and "/status" not in r.path}
            for each in (first, second)
        ]
        assert {path for path in writers[0] & writers[1] if not path.endswith("/secrets")} == set()


def test_an_uninstalled_operator_leaves_no_status_that_nobody_keeps(space: Space, first: Release, second: Release) -> None:
    """O11: the Job of the chart, beside the running operator. Another operator takes over at once."""
    with first.running():
        space.apply(gateway())
        space.await_condition("demo", "Ready", "False", "GatewayNotReady")
        before = space.owned()
        operators.give_up(first.kubeconfig, *first.flags)
        left = space.await_condition("demo", "Ready", "Unknown", "OperatorUninstalled")
        assert f"the operator {FIRST} was uninstalled" in left["message"]
        assert manager(space) == ""
        assert {c["type"]: c["status"] for c in space.get("mcpgateway", "demo")["status"]["conditions"]} == {
            "Accepted": "True",
            "ResolvedRefs": "Unknown",
            "Programmed": "Unknown",
            "Ready": "Unknown",
        }
        assert {name: item["metadata"]["uid"] for name, item in space.owned().items()} == {
            name: item["metadata"]["uid"] for name, item in before.items()
        }
        with second.running():
            eventually("the second one to take over", lambda: manager(space) == second.identity)
            space.await_condition("demo", "Ready", "False", "GatewayNotReady")


@contextlib.contextmanager
def rival(act: Callable[[], object]) -> Iterator[None]:
    """Somebody who does something again and again."""
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            with contextlib.suppress(KubectlError, subprocess.TimeoutExpired):  # it is not there at the moment
                act()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def patch(space: Space, *what: str, **fields: Any) -> Callable[[], object]:
    arguments = ("patch", *what, "--type=merge", "--field-manager=rival", "-p", json.dumps(fields))
    return lambda: space.kubectl("-n", space.name, *arguments)


def removal(space: Space, *what: str) -> Callable[[], object]:
    return lambda: space.kubectl("-n", space.name, "delete", *what, "--ignore-not-found", "--wait=false")


# By gateway: the object that is fought over, what the other one does, and what the condition says of it.
FIGHTS: dict[str, tuple[str, Callable[[Space], Callable[[], object]], str]] = {
    "edits": (
        "services/edits",
        lambda space: patch(space, "service", "edits", spec={"sessionAffinity": "ClientIP"}),
        "Service edits: rival changes it each time it is restored",
    ),
    "applies": (
        "configmaps/applies-config",
        lambda space: patch(space, "configmap", "applies-config", data={"config.json": "{}"}),
        "ConfigMap applies-config: rival changes it each time it is restored",
    ),
    "adds": (
        "deployments/adds-time",
        lambda space: patch(space, "deployment", "adds-time", spec={"template": {"spec": {"nodeSelector": {"disk": "slow"}}}}),
        "Deployment adds-time: added again, /spec/template/spec/nodeSelector by rival",
    ),
    "deletes": (
        "networkpolicies/deletes-time",
        lambda space: removal(space, "networkpolicy", "deletes-time"),
        "NetworkPolicy deletes-time: something deletes it each time it is restored",
    ),
}


def test_whoever_changes_an_object_each_time_is_named_and_left_alone(space: Space, first: Release) -> None:
    """All at once, each with a gateway of its own."""
    with first.running(), contextlib.ExitStack() as rivals:
        for name in FIGHTS:
            space.apply(gateway(name))
        for name in FIGHTS:
            space.await_condition(name, "Ready", "False", "GatewayNotReady")
        eventually("it to rest", lambda: at_rest(space, first))
        before = {name: first.writes(f"/{path}") for name, (path, _, _) in FIGHTS.items()}
        for _, act, _ in FIGHTS.values():
            rivals.enter_context(rival(act(space)))
        for name, (_, _, words) in FIGHTS.items():
            contested = space.await_condition(name, "Programmed", "False", "DriftContested")
            assert words in contested["message"]
            assert space.condition(name, "Stalled")["status"] == "True"
        eventually("the operator to rest while the others go on", lambda: at_rest(space, first))
        for name, (path, _, _) in FIGHTS.items():
            assert first.writes(f"/{path}") - before[name] <= 8, "a few times, and for a Deployment its removals"


def test_whoever_writes_the_status_each_time_is_left_alone(space: Space, first: Release) -> None:
    """As an operator of an earlier version does, which knows no claims."""
    with first.running():
        space.apply(gateway())
        space.await_condition("demo", "Ready", "False", "GatewayNotReady")
        eventually("it to rest", lambda: at_rest(space, first))
        before = first.writes("/status")
        with rival(patch(space, "mcpgateway", "demo", "--subresource=status", status={"toolCount": 99, "operator": None})):
            eventually("the operator to rest while the other goes on", lambda: at_rest(space, first))
        assert 0 < first.writes("/status") - before <= 6


def test_a_field_of_another_controller_costs_no_write(space: Space, first: Release) -> None:
    """A heartbeat in an annotation, as of a load balancer's controller: our fields are as we wrote them."""
    with first.running():
        space.apply(gateway())
        space.await_condition("demo", "Ready", "False", "GatewayNotReady")
        eventually("it to rest", lambda: at_rest(space, first))
        before = first.writes("/services/demo")
        for beat in range(6):
            patch(space, "service", "demo", metadata={"annotations": {"example.com/beat": str(beat)}})()
        assert at_rest(space, first)
        assert first.writes("/services/demo") == before
