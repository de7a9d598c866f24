"""Names that join (O1): whatever gateways and servers are called, no object is two gateways'."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mcpgateway_operator.api.servers import RESERVED_SERVER_NAMES
from mcpgateway_operator.api.validation import parse_spec
from mcpgateway_operator.observe.child_state import Key, Owned
from mcpgateway_operator.observe.index import Index
from mcpgateway_operator.observe.places import Places
from mcpgateway_operator.reconcile import name_conflicts
from mcpgateway_operator.reconcile.plan import ObjectId, identity
from mcpgateway_operator.render import naming
from mcpgateway_operator.render.context import Context
from mcpgateway_operator.render.key_secrets import RANDOM_BYTES, key_secrets
from mcpgateway_operator.render.render import render

few = settings(max_examples=30)  # each renders several gateways

parts = st.lists(st.sampled_from(["a", "b", "peers", "config", "keys", "gateway"]), min_size=1, max_size=4).map("-".join)
long = st.sampled_from(["a" * 38 + "-b", "a" * 36 + "-b-a", "b-a"])
names = parts | long
folders = st.lists(st.sampled_from(["/a", "/b"]), max_size=2, unique=True)


@st.composite
def resources(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Gateways of one namespace."""
    chosen = draw(st.lists(names.filter(lambda name: len(name) <= 40), min_size=2, max_size=4, unique=True))
    return [_resource(name, number, draw) for number, name in enumerate(chosen)]


def _resource(name: str, number: int, draw: st.DrawFn) -> dict[str, Any]:
    servers = draw(
        st.lists(names.filter(lambda name: name not in RESERVED_SERVER_NAMES), min_size=1, max_size=3, unique=True).map(
            lambda each: [
                {
                    "name": server,
                    "image": "i",
                    "command": ["c"],
                    "state": draw(st.sampled_from(["Enabled", "Enabled", "Disabled"])),
                    "storage": [{"mountPath": path, "size": "1Gi"} for path in draw(folders)],
                }
                for server in each
            ]
        )
    )
    created = draw(st.sampled_from(["2026-11-28T00:00:00Z", "2026-11-28T00:00:01Z"]))
    mode = draw(st.sampled_from(["MultiPod", "Sidecar"]))
    return {
        "metadata": {"name": name, "namespace": "ns", "uid": f"{number:08}-uid", "creationTimestamp": created},
        "spec": {"mode": mode, "auth": {"allowUnauthenticated": True}, "servers": servers},
    }


def _rendered(resource: Mapping[str, Any]) -> list[dict[str, Any]]:
    metadata = resource["metadata"]
    context = Context(name=metadata["name"], namespace="ns", uid=metadata["uid"], image="i")
    return list(render(parse_spec(resource["spec"]), context).objects)


@dataclass
class World:
    """What the operator knows of the gateways, and the objects that they have."""

    resources: list[dict[str, Any]]

    def __post_init__(self) -> None:
        self.index, self.woken = Index(), list[Key]()
        self.places = Places(wake=self.woken.append)
        for resource in self.resources:
            self.places.put(resource)
        self.objects: dict[ObjectId, str] = {}  # and the gateway that has it
        self.rendered = {resource["metadata"]["name"]: _rendered(resource) for resource in self.resources}

    def wanted(self, resource: Mapping[str, Any]) -> list[dict[str, Any]]:
        return self.rendered[resource["metadata"]["name"]]

    def existing(self, name: str) -> dict[ObjectId, Owned]:
        return {(child.kind, child.name): child for child in self.index.children(("ns", name))}

    def lost(self, resource: Mapping[str, Any]) -> dict[str, str]:
        metadata, key = resource["metadata"], ("ns", resource["metadata"]["name"])
        own = self.existing(metadata["name"])
        return name_conflicts.lost(key, metadata["creationTimestamp"], self.wanted(resource), own, self.places, self.index)

    def turn(self, resource: Mapping[str, Any]) -> None:
        """One pass: every object that is not lost and not another's is created, in the order of the rendering."""
        name, lost = resource["metadata"]["name"], set(self.lost(resource))
        for manifest in self.wanted(resource):
            place = naming.place(manifest)
            if place not in lost and self.objects.setdefault(identity(manifest), name) != name:
                lost.add(place)
            elif place not in lost:
                kind, called = identity(manifest)
                self.index.put_child(("ns", name), Owned(kind, called, f"{kind}/{called}", resource["metadata"]["uid"], "d"))


@few
@given(resources(), st.randoms(use_true_random=False))
def test_no_object_and_no_place_is_two_gateways(found: list[dict[str, Any]], order: Any) -> None:
    """In every order of passes; who has something in a place has all of it, and the others are told whose it is."""
    world = World(found)
    turns = found * 3
    order.shuffle(turns)
    for resource in [*turns, *found]:
        world.turn(resource)
    wanted = {resource["metadata"]["name"]: {identity(each) for each in world.wanted(resource)} for resource in found}
    for resource in found:
        name, lost = resource["metadata"]["name"], world.lost(resource)
        for manifest in world.wanted(resource):
            holder = world.objects.get(identity(manifest))
            assert holder == name or naming.place(manifest) in lost, (manifest["metadata"]["name"], holder, lost)
            assert holder != name or naming.place(manifest) not in lost
        assert set(lost.values()) <= wanted.keys() - {name}


@few
@given(resources())
def test_of_new_gateways_the_older_one_has_the_name(found: list[dict[str, Any]]) -> None:
    """Before anything exists: the decision depends on age alone, so it is the same in every pass and every operator."""
    world = World(found)
    oldest: dict[str, tuple[str, str]] = {}
    for resource in found:
        age = resource["metadata"]["creationTimestamp"], resource["metadata"]["name"]
        for place in {naming.place(manifest) for manifest in world.wanted(resource)}:
            oldest[place] = min(age, oldest.get(place, age))
    for resource in found:
        places = {naming.place(manifest) for manifest in world.wanted(resource)}
        lost = world.lost(resource)
        assert lost == {place: oldest[place][1] for place in places if oldest[place][1] != resource["metadata"]["name"]}


@few
@given(resources())
def test_a_name_without_rival_is_always_given(found: list[dict[str, Any]]) -> None:
    """Also after rivals have gone: whoever waits is woken."""
    world = World(found)
    for gone, left in pairwise(found):
        lost = world.lost(left)
        world.places.drop(("ns", gone["metadata"]["name"]))
        if gone["metadata"]["name"] in lost.values():
            assert ("ns", left["metadata"]["name"]) in world.woken
    last = found[-1]
    assert world.lost(last) == {}


@few
@given(resources())
def test_names_that_are_no_places_never_join(found: list[dict[str, Any]]) -> None:
    """ConfigMaps and Secrets: the rendering of each gateway, and its keys."""
    world = World(found)
    apart = []
    for resource in found:
        metadata = resource["metadata"]
        secrets = key_secrets(namespace="ns", gateway=metadata["name"], uid=metadata["uid"], random=bytes(RANDOM_BYTES))
        maps = [manifest for manifest in world.wanted(resource) if manifest["kind"] == "ConfigMap"]
        apart.append({identity(manifest) for manifest in (*secrets, *maps)})
    for one, other in combinations(apart, 2):
        assert not one & other
