"""Wanted and existing objects → what to write."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mcpgateway_operator.observe import child_state
from mcpgateway_operator.observe.child_state import Container, Owned, Pod
from mcpgateway_operator.reconcile.plan import Applied, addresses, arriving, orphans, plan

UID = "u1"


def manifest(kind: str, name: str, **spec: Any) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": name, "ownerReferences": [{"uid": UID}]}, "spec": spec}


def child(kind: str, name: str, digest: str = "live", owner: str = UID) -> Owned:
    return Owned(kind=kind, name=name, uid=f"uid-{name}", owner=owner, digest=digest)


CONFIG, DEPLOYMENT = manifest("ConfigMap", "c"), manifest("Deployment", "d")
SETTLED = {
    ("ConfigMap", "c"): Applied(child_state.digest(CONFIG), "live"),
    ("Deployment", "d"): Applied(child_state.digest(DEPLOYMENT), "live"),
}
EXISTING = {("ConfigMap", "c"): child("ConfigMap", "c"), ("Deployment", "d"): child("Deployment", "d")}


def test_an_unchanged_world_has_an_empty_plan() -> None:
    done = plan([CONFIG, DEPLOYMENT], EXISTING, applied=SETTLED, owner=UID, rolled_out=True)
    assert (done.apply, done.prune, done.waiting) == ((), (), ())


def test_missing_drifted_and_changed_objects_are_applied_in_order() -> None:
    changed = manifest("Deployment", "d", replicas=2)
    drifted = {("ConfigMap", "c"): child("ConfigMap", "c", digest="edited")} | {("Deployment", "d"): child("Deployment", "d")}
    assert plan([CONFIG, changed], drifted, applied=SETTLED, owner=UID, rolled_out=True).apply == (CONFIG, changed)
    assert plan([CONFIG], {}, applied=SETTLED, owner=UID, rolled_out=True).apply == (CONFIG,)


def test_an_object_of_an_older_gateway_of_the_same_name_is_applied() -> None:
    existing = {("ConfigMap", "c"): child("ConfigMap", "c", owner="older")}
    assert plan([CONFIG], existing, applied=SETTLED, owner=UID, rolled_out=True).apply == (CONFIG,)


def test_surplus_objects_are_pruned_only_after_the_rollout() -> None:
    surplus = {**EXISTING, ("Deployment", "old"): child("Deployment", "old")}
    rolling = plan([CONFIG, DEPLOYMENT], surplus, applied=SETTLED, owner=UID, rolled_out=False)
    assert (rolling.prune, [c.name for c in rolling.waiting]) == ((), ["old"])
    about_to_roll = plan([CONFIG, manifest("Deployment", "d", replicas=2)], surplus, applied=SETTLED, owner=UID, rolled_out=True)
    assert about_to_roll.prune == ()
    rolled = plan([CONFIG, DEPLOYMENT], surplus, applied=SETTLED, owner=UID, rolled_out=True)
    assert [c.name for c in rolled.prune] == ["old"]


def test_objects_of_another_gateway_are_never_pruned() -> None:
    foreign = {**EXISTING, ("ConfigMap", "x"): child("ConfigMap", "x", owner="someone")}
    assert plan([CONFIG, DEPLOYMENT], foreign, applied=SETTLED, owner=UID, rolled_out=True).prune == ()


def test_a_claim_is_never_pruned_but_listed_as_an_orphan() -> None:
    left = {**EXISTING, ("PersistentVolumeClaim", "old"): child("PersistentVolumeClaim", "old")}
    done = plan([CONFIG, DEPLOYMENT], left, applied=SETTLED, owner=UID, rolled_out=True)
    assert (done.prune, done.waiting) == ((), ())
    assert orphans([CONFIG, DEPLOYMENT], left) == ("old",)


def test_a_retained_claim_has_no_owner() -> None:
    claim = {"kind": "PersistentVolumeClaim", "metadata": {"name": "p"}, "spec": {}}
    key = ("PersistentVolumeClaim", "p")
    settled = {key: Applied(child_state.digest(claim), "live")}
    for owner, applied in (("", ()), (UID, (claim,))):
        existing = {key: child(*key, owner=owner)}
        assert plan([claim], existing, applied=settled, owner=UID, rolled_out=True).apply == applied


POD = Pod(
    name="p1",
    uid="p1",
    component="server",
    server="time",
    ip="198.18.0.9",
    created="2026-01-01T00:00:00Z",
    terminating=False,
    ready=True,
    containers=(Container("mcp-time", "i", running=True, ready=True),),
)


def test_the_newest_ready_pod_comes_first() -> None:
    newer = replace(POD, name="p2", ip="198.18.0.10", created="2026-01-02T00:00:00Z")
    assert addresses([POD, newer], 4444) == {"time": ("198.18.0.10:4444", "198.18.0.9:4444")}


def test_unready_pods_have_an_address_only_while_none_is_ready() -> None:
    starting = replace(POD, name="p2", ip="198.18.0.10", ready=False)
    assert addresses([POD, starting], 4444) == {"time": ("198.18.0.9:4444",)}
    assert addresses([starting], 4444) == {"time": ("198.18.0.10:4444",)}


def test_unready_pods_arrive_while_others_are_ready() -> None:
    starting = replace(POD, name="p2", ip="198.18.0.10", ready=False)
    newer = replace(starting, name="p3", ip="198.18.0.11", created="2026-01-02T00:00:00Z")
    assert arriving([POD, starting, newer], 4444) == {"time": ("198.18.0.11:4444", "198.18.0.10:4444")}
    assert arriving([starting, newer], 4444) == {"time": ("198.18.0.11:4444", "198.18.0.10:4444")}, "each is asked"
    assert arriving([newer], 4444) == {}, "it is used as it is"
    assert arriving([POD, replace(newer, terminating=True)], 4444) == {}


def test_terminating_pods_and_pods_without_a_running_bridge_have_no_address() -> None:
    waiting = replace(POD, containers=(Container("mcp-time", "i", running=False, ready=False),))
    assert addresses([replace(POD, terminating=True), waiting, replace(POD, ip="")], 4444) == {}
