"""Rendering on arbitrary specs: what must hold for each of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mcpgateway import config as gateway_config
from mcpgateway_operator.api import servers as server_models
from mcpgateway_operator.api.quantities import seconds
from mcpgateway_operator.api.spec import Spec
from mcpgateway_operator.api.validation import InvalidSpecError, parse_spec
from mcpgateway_operator.render import naming
from mcpgateway_operator.render.context import Context
from mcpgateway_operator.render.render import render
from tests.support.paths import ROOT

letters = "abcdefghijklmnopqrstuvwxyz"
label = st.builds(
    "".join, st.tuples(st.sampled_from(letters), st.text(alphabet=letters + "0-", max_size=8), st.sampled_from(letters))
)
names = label.filter(lambda name: name not in server_models.RESERVED_SERVER_NAMES)
words = st.text(min_size=1, max_size=30)
keys = st.text(alphabet=letters + "ABC.-_09", min_size=1, max_size=8).filter(lambda key: key != "." and key[:2] != "..")
references = st.fixed_dictionaries({"name": label, "key": keys})
variables = st.one_of(
    st.fixed_dictionaries({"value": words}),
    st.fixed_dictionaries({"valueFrom": st.fixed_dictionaries({"secretKeyRef": references})}),
    st.fixed_dictionaries({"valueFrom": st.fixed_dictionaries({"configMapKeyRef": references})}),
)

paths = st.text(alphabet=letters, min_size=1, max_size=5).map("/srv/{}".format)
folders = st.one_of(
    st.fixed_dictionaries({"mountPath": paths, "size": st.just("1Gi"), "accessModes": st.just(["ReadWriteMany"])}),
    st.fixed_dictionaries({"mountPath": paths, "size": st.just("1Gi"), "onDelete": st.just("Retain")}),
    st.fixed_dictionaries({"mountPath": paths, "claimName": label}),
    st.fixed_dictionaries({"mountPath": paths, "secret": st.fixed_dictionaries({"name": label})}),
    st.fixed_dictionaries({"mountPath": paths, "configMap": st.fixed_dictionaries({"name": label})}),
    st.fixed_dictionaries({"mountPath": paths, "emptyDir": st.just({})}),
)
egress = st.fixed_dictionaries(
    {
        "public": st.booleans(),
        "allow": st.lists(
            st.sampled_from(
                [
                    {"cidr": "10.0.0.0/8"},
                    {"cidr": "::/0", "ports": [1]},
                    {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "db"}}, "ports": [5432]},
                ]
            ),
            max_size=3,
        ),
    }
)


@st.composite
def servers(draw: st.DrawFn) -> list[dict[str, Any]]:
    chosen = draw(st.lists(names, min_size=1, max_size=5, unique=True))
    return [
        {
            "name": name,
            "image": draw(st.text(alphabet=letters + ":/@$ü\U0001f600", min_size=1, max_size=12)),
            "command": draw(st.lists(words, min_size=1, max_size=3)),
            "args": draw(st.lists(words, max_size=3)),
            "state": draw(st.sampled_from(["Enabled", "Enabled", "Disabled"])),
            "env": [
                {"name": variable, **draw(variables)}
                for variable in draw(st.lists(st.text(alphabet="ABC_", min_size=1, max_size=5), max_size=4, unique=True))
            ],
            "storage": draw(st.lists(folders, max_size=3, unique_by=lambda folder: folder["mountPath"])),
            "runAsUser": draw(st.integers(1, 70_000)),
            "writableRootFilesystem": draw(st.booleans()),
            **draw(st.fixed_dictionaries({}, optional={"egress": egress})),
            "envFrom": draw(st.lists(st.fixed_dictionaries({"secretRef": st.fixed_dictionaries({"name": label})}), max_size=2)),
        }
        for name in chosen
    ]


@st.composite
def specs(draw: st.DrawFn) -> Spec:
    return parse_spec(
        {
            "mode": draw(st.sampled_from(["MultiPod", "Sidecar"])),
            "replicas": draw(st.integers(0, 5)),
            "auth": {"tokens": [{"name": "t", "secretKeyRef": draw(references)}]},
            "allowedOrigins": draw(st.lists(label.map("https://{}".format), max_size=2, unique=True)),
            "servers": draw(servers()),
        }
    )


CASES = sorted((ROOT / "tests" / "golden").glob("*/in*.yaml"))
CONTEXT = Context(name="gw", namespace="ns", uid="0123456789", image="gateway:1")
slow = settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow], deadline=None)


def pods(objects: tuple[dict[str, Any], ...]) -> list[dict[str, Any]]:
    return [o["spec"]["template"] for o in objects if o["kind"] == "Deployment"]


def shape(value: Any) -> Any:
    """A structure without its strings' contents."""
    if isinstance(value, dict):
        return {key: shape(child) for key, child in value.items()}
    if isinstance(value, list):
        return [shape(child) for child in value]
    return type(value).__name__


@slow
@given(specs())
def test_rendering_is_pure(spec: Spec) -> None:
    assert json.dumps(render(spec, CONTEXT).objects) == json.dumps(render(spec, CONTEXT).objects)


@slow
@given(specs())
def test_every_object_is_ours_and_has_its_own_name(spec: Spec) -> None:
    objects = render(spec, CONTEXT).objects
    names = [(o["kind"], o["metadata"]["name"]) for o in objects]
    assert len(names) == len(set(names))
    for o in objects:
        assert len(o["metadata"]["name"]) <= 63
        assert o["metadata"]["labels"][naming.MANAGED_BY] == naming.MANAGER
        owners = [(owner["uid"], owner["controller"]) for owner in o["metadata"].get("ownerReferences", [])]
        assert owners == [(CONTEXT.uid, True)] or (owners == [] and o["kind"] == "PersistentVolumeClaim")


@slow
@given(specs())
def test_every_pod_passes_restricted_and_mounts_only_what_it_may(spec: Spec) -> None:
    writable = {server.name for server in spec.servers if server.writable_root_filesystem}
    allowed = {"configMap", "secret", "emptyDir", "projected", "persistentVolumeClaim"}
    for template in pods(render(spec, CONTEXT).objects):
        pod = template["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        for container in [*pod.get("initContainers", []), *pod["containers"]]:
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False
            assert security["readOnlyRootFilesystem"] is (container["name"].removeprefix("mcp-") not in writable)
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert security.get("runAsUser") != 0
            assert "privileged" not in security
            assert all("hostPort" not in port for port in container.get("ports", []))
        assert not {"hostNetwork", "hostPID", "hostIPC", "serviceAccountName", "nodeName"} & set(pod)
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        assert len(volumes) == len(pod["volumes"])
        assert all(set(v) - {"name"} <= allowed for v in volumes.values())
        mounts = [m for c in [*pod.get("initContainers", []), *pod["containers"]] for m in c.get("volumeMounts", [])]
        assert {m["name"] for m in mounts} == set(volumes)
        assert all(len(name) <= 63 for name in volumes)


@slow
@given(specs())
def test_every_mounted_claim_is_rendered_or_named_in_the_spec(spec: Spec) -> None:
    objects = render(spec, CONTEXT).objects
    named = {o["metadata"]["name"] for o in objects if o["kind"] == "PersistentVolumeClaim"}
    named |= {folder.claim_name for server in spec.servers for folder in server.storage if folder.claim_name}
    for template in pods(objects):
        claims = {v["persistentVolumeClaim"]["claimName"] for v in template["spec"]["volumes"] if "persistentVolumeClaim" in v}
        assert claims <= named


@slow
@given(specs())
def test_containers_of_a_pod_share_no_port_and_no_name(spec: Spec) -> None:
    for template in pods(render(spec, CONTEXT).objects):
        containers = template["spec"]["containers"]
        listens = [a for c in containers for a in c["args"] if a.startswith(("--listen=", "--health=", "--internal="))]
        assert len(listens) == len(set(listens))
        assert len({c["name"] for c in containers}) == len(containers)
        assert all(len(c["name"]) <= 63 for c in containers)


@slow
@given(specs())
def test_selectors_match_their_pods(spec: Spec) -> None:
    objects = render(spec, CONTEXT).objects
    labels = [template["metadata"]["labels"] for template in pods(objects)]
    for o in objects:
        selector = o["spec"]["selector"] if o["kind"] == "Service" else o.get("spec", {}).get("selector", {}).get("matchLabels")
        if selector:
            assert any(selector.items() <= candidate.items() for candidate in labels)


@st.composite
def rewritten(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """A golden case's spec, and the same with any text in the place of one of its strings."""
    case = yaml.safe_load(draw(st.sampled_from(CASES)).read_text())["spec"]
    *way, last = draw(st.sampled_from(list(strings(case))))
    changed = json.loads(json.dumps(case))
    place = changed
    for step in way:
        place = place[step]
    place[last] = draw(st.text(min_size=1, max_size=40))
    return case, changed


def strings(value: Any, *way: Any) -> Iterator[tuple[Any, ...]]:
    """The ways to all strings of a structure."""
    if isinstance(value, str):
        yield way
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, child in children:
        yield from strings(child, *way, step)


@settings(slow, max_examples=400)
@given(rewritten())
def test_no_text_changes_the_structure(pair: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """It is refused, or one of the same objects has another string in it."""
    plain, hostile = pair
    try:
        spec = parse_spec(hostile)
    except InvalidSpecError:
        return
    assert shape(render(spec, CONTEXT).objects) == shape(render(parse_spec(plain), CONTEXT).objects)


@slow
@given(specs())
def test_both_modes_offer_the_same_servers(spec: Spec) -> None:
    def offered(mode: str) -> Any:
        config = json.loads(render(spec.model_copy(update={"mode": mode}), CONTEXT).objects[0]["data"]["config.json"])
        for server in config.get("servers", []):
            server.pop("fallback", None)
        return config

    assert offered("MultiPod") == offered("Sidecar")


@slow
@given(specs())
def test_another_server_changes_no_other_servers_pod(spec: Spec) -> None:
    multi = spec.model_copy(update={"mode": "MultiPod"})
    extra = server_models.Server(name="zz-extra", image="i", command=("x",))
    before = {o["metadata"]["name"]: o for o in render(multi, CONTEXT).objects if o["kind"] == "Deployment"}
    more = multi.model_copy(update={"servers": (*multi.servers, extra)})
    after = {o["metadata"]["name"]: o for o in render(more, CONTEXT).objects if o["kind"] == "Deployment"}
    assert {name: after[name] for name in before} == before


DURATIONS = st.lists(st.builds("{}{}".format, st.integers(0, 999_999), st.sampled_from(["ms", "s", "m", "h"])), min_size=1)


@settings(slow, max_examples=40)
@given(DURATIONS.map("".join).filter(lambda text: len(text) <= 32))
@example("999999h" * 4)
def test_every_duration_of_the_schema_is_one_of_the_gateway(duration: str) -> None:
    raw = {"auth": {"allowUnauthenticated": True}, "servers": [{"name": "a", "image": "i", "command": ["x"]}]}
    spec = parse_spec(raw | {"sessions": {"ttl": duration, "idleTimeout": duration}, "limits": {"callTimeout": duration}})
    text = render(spec, CONTEXT).objects[0]["data"]["config.json"]
    assert msgspec.json.decode(text, type=gateway_config.Config).session_ttl == seconds(duration)
