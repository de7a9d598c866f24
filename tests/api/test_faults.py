"""The fault list of operators (O1 to O32, docs/faults.md): each fault, and how long the operator takes to be well again.

`make faults` writes the measured times into docs/faults.md.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from mcpgateway_operator.api.group import CRD_NAME
from mcpgateway_operator.render.naming import MANAGER
from tests.api.conftest import Space
from tests.conftest import Scale
from tests.support import faults, operators
from tests.support.apiproxy import CUT, EXPIRED, HANG, Answer, ApiProxy, Request
from tests.support.cluster import SYSTEM
from tests.support.controlplane import ControlPlane
from tests.support.kubectl import Kubectl, eventually
from tests.support.resources import gateway, server
from tests.support.waiting import PATIENCE

OBJECTS = 12  # of a gateway with one server in MultiPod mode, its two Secrets included


@pytest.fixture
def operator_log(through: Path, tmp_path: Path) -> Iterator[Path]:
    with operators.operator(through, tmp_path) as log:
        yield log


@pytest.fixture
def hasty_operator(through: Path, tmp_path: Path) -> Iterator[None]:
    """An operator that waits for five seconds where others wait for 30."""
    with operators.operator(through, tmp_path, "--request-timeout=5"):
        yield


def settled(space: Space, name: str = "demo") -> bool:
    """Whether all is there that the operator can bring about without kubelets."""
    result = space.owned()
    wanted = {f"Deployment/{name}", f"Deployment/{name}-time", f"ConfigMap/{name}-config", f"Service/{name}-peers"}
    return wanted <= set(result) and space.condition(name, "Ready").get("reason") == "GatewayNotReady"


@contextmanager
def recovery(row: str) -> Iterator[None]:
    """Note how long it takes from the end of a fault until all is well."""
    began = time.monotonic()
    yield
    faults.record(row, time.monotonic() - began)


def edit(space: Space, name: str, value: str) -> None:
    patch = json.dumps({"spec": {"podLabels": {"v": value}}})
    space.kubectl("-n", space.name, "patch", "mcpgateway", name, "--type=merge", "-p", patch)


def another(space: Space, kind: str, name: str, uid: str) -> bool:
    """Whether the object exists again, with another uid."""
    result = space.find(kind, name)
    return bool(result) and result["metadata"]["uid"] != uid and "deletionTimestamp" not in result["metadata"]


def labelled(space: Space, name: str, value: str) -> bool:
    template = space.get("deployment", name)["spec"]["template"]
    return bool(template["metadata"]["labels"].get("v") == value)


def test_o1_killed_at_any_write_it_converges_to_the_same_objects(
    space: Space, proxy: ApiProxy, through: Path, tmp_path: Path, scale: Scale
) -> None:
    for number in range(1, OBJECTS + 3, scale(3, 1)):
        name, last = f"k{number}", len(proxy.writes()) + number
        proxy.rule = partial(_hang_from, last)
        with operators.operator(through, tmp_path) as log:
            space.apply(gateway(name))
            eventually("the write", partial(_reached, space, proxy, name, last))
            operators.kill(log)
        proxy.rule = lambda request: None
        with recovery("O1"), operators.operator(through, tmp_path):
            eventually("all objects", partial(settled, space, name))
        space.delete("mcpgateway", name)
    eventually("nothing to be left", lambda: space.owned() == {})


def _hang_from(last: int, request: Request) -> Answer | None:
    return HANG if request.write and request.number >= last else None


def _reached(space: Space, proxy: ApiProxy, name: str, last: int) -> bool:
    return len(proxy.writes()) >= last or settled(space, name)


def test_o2_a_conflict_is_tried_again_without_a_flood_of_events(space: Space, proxy: ApiProxy, operator_log: Path) -> None:
    conflicts = iter(range(6))
    proxy.rule = lambda request: (
        Answer(409, "Conflict") if request.write and "/events" not in request.path and next(conflicts, None) is not None else None
    )
    space.apply(gateway())
    with recovery("O2"):
        eventually("all objects", partial(settled, space))
    assert len([e for e in space.get("events")["items"] if e["involvedObject"]["kind"] == "MCPGateway"]) <= 2


def test_o3_a_watch_with_an_expired_version_is_restarted(space: Space, proxy: ApiProxy, operator_log: Path) -> None:
    space.apply(gateway())
    eventually("all objects", partial(settled, space))
    gone = iter(range(20))
    proxy.rule = lambda request: EXPIRED if request.watch and next(gone, None) is not None else None
    proxy.cut()
    uid = space.get("deployment", "demo-time")["metadata"]["uid"]
    space.delete("deployment", "demo-time")
    with recovery("O3"):
        eventually("it to be back", partial(another, space, "deployment", "demo-time", uid))


def test_o4_retry_after_is_respected(space: Space, proxy: ApiProxy, operator_log: Path) -> None:
    refused: list[float] = []

    def busy(request: Request) -> Answer | None:
        if request.write and f"/{space.name}/" in request.path and len(refused) < 3:
            refused.append(time.monotonic())
            return Answer(429, "TooManyRequests", {"Retry-After": "3"})
        return None

    proxy.rule = busy
    space.apply(gateway())
    with recovery("O4"):
        eventually("all objects", partial(settled, space))
    gaps = [later - earlier for earlier, later in pairwise(refused)]
    assert min(gaps) > 2.9  # as the proxy sees it


def test_o5_server_errors_are_waited_out_and_others_go_on(space: Space, proxy: ApiProxy, operator_log: Path) -> None:
    proxy.rule = lambda request: Answer(503, "ServiceUnavailable") if request.write and "/sick" in request.path else None
    space.apply(gateway("sick"))
    eventually("several attempts", lambda: len(proxy.writes("/sick")) >= 4)
    space.apply(gateway("well"))
    eventually("the other gateway", partial(settled, space, "well"))
    proxy.rule = lambda request: None
    with recovery("O5"):
        eventually("the sick gateway", partial(settled, space, "sick"))


@pytest.mark.usefixtures("hasty_operator")
def test_o6_an_api_server_that_never_answers_blocks_no_other_gateway(space: Space, proxy: ApiProxy) -> None:
    hung: list[Request] = []

    def hang(request: Request) -> Answer | None:
        if request.write and "/demo" in request.path and len(hung) < 2:
            hung.append(request)
            return HANG
        return None

    proxy.rule = hang
    space.apply(gateway())
    eventually("a request to hang", lambda: hung)
    space.apply(gateway("other"))
    eventually("the other gateway", partial(settled, space, "other"))
    with recovery("O6"):
        eventually("all objects", partial(settled, space))


@pytest.mark.usefixtures("hasty_operator")
def test_o7_a_silent_watch_is_detected(space: Space, proxy: ApiProxy) -> None:
    space.apply(gateway())
    eventually("all objects", partial(settled, space))
    proxy.speaking.clear()
    edit(space, "demo", "silent")
    with recovery("O7"):
        eventually("the silent watches to be left", lambda: sum(r.watch for r in proxy.seen[-40:]) >= 3)
        proxy.speaking.set()
        eventually("the edit", partial(labelled, space, "demo", "silent"))


def test_o8_gateways_converge_after_the_api_server_returns(space: Space, proxy: ApiProxy, operator_log: Path) -> None:
    space.apply(gateway())
    eventually("all objects", partial(settled, space))
    proxy.rule = lambda request: CUT
    proxy.cut()
    edit(space, "demo", "late")
    before = len(proxy.seen)
    eventually("several attempts", lambda: len(proxy.seen) >= before + 15)
    proxy.rule = lambda request: None
    with recovery("O8"):
        eventually("the edit", partial(labelled, space, "demo", "late"))


def lease_version(space: Space) -> int:
    return int(space.kubectl.get("lease", MANAGER, "-n", SYSTEM)["metadata"]["resourceVersion"])


def test_o9_the_operator_restarts_after_etcd_is_restored_to_an_older_snapshot(tmp_path: Path) -> None:
    """What was made since is forgotten, what was there is left alone, and what is asked for from then on is done."""
    with operators.control_plane(tmp_path / "plane") as plane:
        kubeconfig = operators.kubeconfig_for(plane.kubectl, tmp_path)
        space = Space(plane.kubectl, "default")
        with operators.operator(kubeconfig, tmp_path, f"--own-namespace={SYSTEM}") as log:
            space.apply(gateway())
            eventually("all objects", partial(settled, space))
            saved, renewed = plane.snapshot(), lease_version(space)
            edit(space, "demo", "newer")
            eventually("the edit", partial(labelled, space, "demo", "newer"))
            space.apply(gateway("lost"))
            eventually("all objects", partial(settled, space, "lost"))
            eventually("a renewal, as there are many between any two backups", lambda: lease_version(space) > renewed)
            before = {name: result["metadata"]["uid"] for name, result in space.owned().items() if "/demo" in name}
            begun = log.read_text().count("restarting")
            plane.restore(saved)
            with recovery("O9"):
                edit(space, "demo", "again")
                eventually("the edit", partial(labelled, space, "demo", "again"))
            assert log.read_text().count("restarting") > begun
            space.apply(gateway("lost"))
            eventually("all objects", partial(settled, space, "lost"))
            assert {name: result["metadata"]["uid"] for name, result in space.owned().items() if "/demo" in name} == before


def test_o12_a_gateway_deleted_while_its_children_are_created_leaves_none(space: Space, operator_log: Path, scale: Scale) -> None:
    for number in range(scale(20, 200)):
        space.apply(gateway(f"brief{number}"))
        if number % 3:
            eventually("a first object", partial(space.find, "configmap", f"brief{number}-config"))
        space.delete("mcpgateway", f"brief{number}")
    with recovery("O12"):
        eventually("nothing to be left", lambda: space.owned() == {})


def test_o15_a_deleted_child_is_recreated_and_an_edit_is_undone(space: Space, operator_log: Path, scale: Scale) -> None:
    """Each one once: what is deleted again each time it is created is left alone (test_ownership.py)."""
    servers = [server("time"), *(server(f"s{number}") for number in range(19))]
    for name in [f"demo{number}" for number in range(scale(1, 20))]:
        space.apply(gateway(name, *servers))
        eventually("all objects", partial(settled, space, name))
        for service in [f"{name}-{each['name']}" for each in servers]:
            old = space.get("service", service)["metadata"]["uid"]
            space.delete("service", service)
            with recovery("O15"):
                eventually("it", partial(another, space, "service", service, old), every=0.02)


def test_o20_gateways_work_after_the_crd_is_deleted_and_recreated(tmp_path: Path) -> None:
    """In a control plane of its own, because all gateways go with the CRD."""
    with operators.control_plane(tmp_path / "plane") as plane:
        kubeconfig = operators.kubeconfig_for(plane.kubectl, tmp_path)
        space = Space(plane.kubectl, "default")
        with operators.operator(kubeconfig, tmp_path) as log:
            space.apply(gateway())
            eventually("all objects", partial(settled, space))
            plane.kubectl("delete", "crd", CRD_NAME)
            eventually("what it says", lambda: "was deleted, and its MCPGateways with it" in log.read_text())
            eventually("it to wait", lambda: "waiting for the CRD" in log.read_text())
            assert httpx2.get(operators.probes(log).replace("/healthz", "/readyz")).status_code == 503
            operators.install_rights(plane.kubectl)
            with recovery("O20"):
                eventually("a new gateway", partial(_applied, space, gateway("again")))
                eventually("all objects", partial(settled, space, "again"))
            old = "deployment", "demo"  # which the garbage collector may not touch while it does not know its owner's kind
            eventually("the objects of the old gateway to be collected", lambda: space.find(*old) is None)


def _applied(space: Space, resource: dict[str, Any]) -> bool:
    space.apply(resource)
    return True


def test_o25_a_revoked_permission_is_named_in_a_condition(space: Space, plane: ControlPlane, operator_log: Path) -> None:
    role = plane.kubectl.get("clusterrole", "mcpgateway")
    poorer = json.loads(json.dumps(role))
    for rule in poorer["rules"]:
        if "services" in rule["resources"]:
            rule["verbs"] = ["list", "watch"]
    _replace(plane.kubectl, poorer)
    try:
        space.apply(gateway())
        reported = space.await_condition("demo", "Programmed", "False", "Forbidden")
        assert 'cannot patch resource "services"' in reported["message"]
        assert space.find("deployment", "demo") is not None  # the rest is there
    finally:
        _replace(plane.kubectl, role)
    with recovery("O25"):
        eventually("all objects", partial(settled, space))


def _replace(kubectl: Kubectl, document: dict[str, Any]) -> None:
    for name in ("managedFields", "resourceVersion", "uid", "creationTimestamp"):
        document["metadata"].pop(name, None)
    kubectl("replace", "-f", "-", stdin=json.dumps(document))


def test_o26_a_terminating_namespace_gets_no_new_objects_and_few_errors(
    plane: ControlPlane, proxy: ApiProxy, operator_log: Path
) -> None:
    plane.kubectl("create", "namespace", "ending")
    space = Space(plane.kubectl, "ending")
    space.apply(gateway())
    eventually("all objects", partial(settled, space))
    held = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "held", "finalizers": ["example.com/held"]}}
    space.apply(held)
    plane.kubectl("delete", "namespace", "ending", "--wait=false")
    with recovery("O26"):
        eventually("the objects to go", lambda: space.owned() == {} and space.find("mcpgateway", "demo") is None)
    writes = len(proxy.writes("/ending/"))
    space.kubectl("-n", "ending", "patch", "configmap", "held", "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    eventually("its end", lambda: plane.kubectl.find("namespace", "ending") is None)
    assert len(proxy.writes("/ending/")) == writes
    assert operator_log.read_text().count("will be retried") < 10


def test_o28_a_failing_resource_is_retried_with_growing_delays(space: Space, proxy: ApiProxy, operator_log: Path) -> None:
    proxy.rule = lambda request: Answer(500, "InternalError") if request.write and "/poison" in request.path else None
    space.apply(gateway("poison"))
    eventually("several attempts", lambda: operator_log.read_text().count("will be retried") >= 5)
    with recovery("O28"):
        space.apply(gateway("good"))
        eventually("the good gateway", partial(settled, space, "good"))
    lines = [json.loads(line) for line in operator_log.read_text().splitlines() if "will be retried" in line]
    stamps = [line["timestamp"] for line in lines if line["gateway"] == "poison"]
    assert len(stamps) < 12, stamps


def test_o29_the_largest_valid_resource_is_reconciled(space: Space, operator_log: Path) -> None:
    variables = [{"name": f"V{n}", "value": "x" * 200} for n in range(64)]
    space.apply(gateway("large", *[server(f"s{n:02}", env=variables) for n in range(64)]))
    with recovery("O29"):
        eventually("the last server", partial(space.find, "deployment", "large-s63"))
        eventually("its status", lambda: len(space.get("mcpgateway", "large")["status"]["servers"]) == 64)


def test_o32_memory_does_not_grow_with_passes(space: Space, proxy: ApiProxy, operator_log: Path, scale: Scale) -> None:
    space.apply(gateway())
    eventually("all objects", partial(settled, space))
    _passes(space, proxy, operator_log, 300)
    before = operators.metrics(operator_log)["process_resident_memory_bytes"]
    _passes(space, proxy, operator_log, scale(500, 10_000))
    grown = operators.metrics(operator_log)["process_resident_memory_bytes"] - before
    assert grown < 3 << 20, f"{grown / (1 << 20):.1f} MiB"


def _passes(space: Space, proxy: ApiProxy, log: Path, number: int) -> None:
    """Have the operator pass over the gateway so many times, by an annotation that means nothing."""
    series = 'mcpgateway_operator_reconciles_total{result="success"}'
    end = operators.metrics(log)[series] + number
    url = f"http://127.0.0.1:{proxy.port}/apis/mcpgateway.dev/v1alpha1/namespaces/{space.name}/mcpgateways/demo"
    config = yaml.safe_load(space.kubectl.kubeconfig.read_text())
    headers = {
        "Authorization": f"Bearer {config['users'][0]['user']['token']}",
        "Content-Type": "application/merge-patch+json",
    }
    with httpx2.Client(headers=headers, timeout=PATIENCE) as client:
        for turn in itertools.count():
            client.patch(url, content=json.dumps({"metadata": {"annotations": {"turn": str(turn)}}})).raise_for_status()
            if turn % 20 == 0 and operators.metrics(log)[series] >= end:
                return


def test_a_new_gateway_costs_a_write_for_each_object_and_the_status(space: Space, proxy: ApiProxy, operator_log: Path) -> None:
    space.apply(gateway())
    eventually("all objects", partial(settled, space))
    objects = proxy.writes(f"/{space.name}/")
    status = [request for request in objects if request.path.endswith("/status")]
    events = [request for request in objects if request.path.endswith("/events")]
    assert len(objects) - len(status) - len(events) == len(space.owned())
    assert len(status) <= 4  # the claim, nothing, something, all of it is there
    assert len(events) == 1


def test_the_faults_are_in_the_manual() -> None:
    """The table has a row for each test here, made by `make faults`."""
    named = {line.split("|")[1].strip() for line in faults.MANUAL.read_text().splitlines() if line.startswith("| O")}
    here = {name.split("_")[1].upper() for name in globals() if name.startswith("test_o")}
    assert here <= named


def test_liveness_fails_only_while_the_queue_makes_no_progress(operator_log: Path) -> None:
    assert httpx2.get(operators.probes(operator_log)).status_code == 200
