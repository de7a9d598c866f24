"""Wrong resources by the hundred, made from the schema itself: each field with each thing that it may not be (O18).

And the dangerous ones by name: what would give a user of one namespace more than the namespace.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
import yaml

from mcpgateway_operator.api import crd
from tests.api.conftest import Space
from tests.support.controlplane import ControlPlane
from tests.support.resources import gateway, server

Path = tuple[str | int, ...]
# What a required field is given, so that nothing else is wrong with the resource.
GOOD: dict[str, Any] = {
    "name": "a",
    "key": "k",
    "image": "i",
    "host": "a.example",
    "mountPath": "/d",
    "cidr": "10.0.0.0/8",
    "maxReplicas": 2,
    "parentRefs": [{"name": "a"}],
    "secretKeyRef": {"name": "a", "key": "k"},
}


def wrong_values(schema: dict[str, Any]) -> Iterator[Any]:
    """What a field of this schema may not be."""
    if "enum" in schema:
        yield "Nonsense"
    if schema.get("x-kubernetes-int-or-string"):
        yield from ("lots", True)
    elif schema.get("type") == "string":
        yield 1
        if "maxLength" in schema and "enum" not in schema:
            yield "a" * (schema["maxLength"] + 1)
        if "pattern" in schema:
            yield "\n\x01 {}"
    elif schema.get("type") == "integer":
        yield from ("many", 1.5)
        for bound, step in (("minimum", -1), ("maximum", 1)):
            if bound in schema:
                yield schema[bound] + step
    elif schema.get("type") == "boolean":
        yield "perhaps"
    elif schema.get("type") == "array":
        yield "one"
        yield [sample(schema["items"], "item")] * (schema["maxItems"] + 1)
    elif "properties" in schema:
        yield from ("text", {"nonsense": 1})
    elif "additionalProperties" in schema:
        yield {"key": 1}


def sample(schema: dict[str, Any], name: str) -> Any:
    """Something that is right, or at least of the right shape."""
    if name in GOOD:
        return copy.deepcopy(GOOD[name])
    if "properties" in schema:
        return {key: sample(schema["properties"][key], key) for key in schema.get("required", ())}
    return {"array": [], "object": {}, "integer": 1, "boolean": True}.get(schema.get("type", ""), "a")


def fields(schema: dict[str, Any], path: Path = ()) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every field below a schema."""
    for name, child in schema.get("properties", {}).items():
        yield (*path, name), child
        below = child.get("items", {}) if child.get("type") == "array" else child
        yield from fields(below, (*path, name, 0) if child.get("type") == "array" else (*path, name))


def with_value(schema: dict[str, Any], resource: dict[str, Any], path: Path, value: Any) -> dict[str, Any]:
    """A resource with this value at this place, and what has to be around it."""
    out = copy.deepcopy(resource)
    place: Any = out["spec"]
    for step in path[:-1]:
        schema = schema["items"] if isinstance(step, int) else schema["properties"][step]
        if isinstance(step, int):
            if not place:
                place.append(sample(schema, "item"))
        elif step not in place:
            place[step] = [] if schema.get("type") == "array" else sample(schema, "")
        place = place[step]
    place[path[-1]] = value
    return out


SPEC = crd.custom_resource_definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
GENERATED = [(path, value) for path, schema in fields(SPEC) for value in wrong_values(schema)]


class Admission:
    """Asks the API server whether it would take a resource, strictly; a context, which closes its connections."""

    def __init__(self, plane: ControlPlane, namespace: str) -> None:
        config = yaml.safe_load(plane.kubeconfig.read_text())
        server_url, token = config["clusters"][0]["cluster"]["server"], config["users"][0]["user"]["token"]
        self._http = httpx2.Client(verify=False, headers={"Authorization": f"Bearer {token}"})
        self._url = f"{server_url}/apis/mcpgateway.dev/v1alpha1/namespaces/{namespace}/mcpgateways"

    def __enter__(self) -> Admission:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def refusal(self, resource: dict[str, Any]) -> str:
        """Why it is refused; empty if it is not."""
        query = {"dryRun": "All", "fieldValidation": "Strict"}
        answer = self._http.post(self._url, params=query, json=resource)
        return "" if answer.status_code == 201 else str(answer.json()["message"])


@pytest.fixture
def admission(plane: ControlPlane, space: Space) -> Iterator[Admission]:
    with Admission(plane, space.name) as asking:
        yield asking


def test_generated_wrong_resources_are_stopped_at_admission_by_the_fields_name(admission: Admission) -> None:
    assert len(GENERATED) >= 200
    assert admission.refusal(gateway()) == ""
    let_in, unnamed = [], []
    for path, value in GENERATED:
        reported = admission.refusal(with_value(SPEC, gateway(), path, value))
        where = ".".join(map(str, path))
        if not reported:
            let_in.append(f"{where}={json.dumps(value)[:60]}")
        elif not any(str(step) in reported for step in path if not isinstance(step, int)):
            unnamed.append(f"{where}: {reported[:200]}")
    assert len(let_in) <= len(GENERATED) * 0.05, let_in
    assert unnamed == []


IN_A_SERVER: tuple[dict[str, Any], ...] = (
    {"securityContext": {"privileged": True}},
    {"securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}},
    {"runAsUser": 0},
    {"volumes": [{"name": "x", "hostPath": {"path": "/"}}]},
    {"storage": [{"mountPath": "/d", "hostPath": {"path": "/"}}]},
    {"storage": [{"mountPath": "/d", "csi": {"driver": "x"}}]},
    {"storage": [{"mountPath": "/d", "claimName": "../other/c"}]},
    {"storage": [{"mountPath": "/d", "secret": {"name": "s", "namespace": "kube-system"}}]},
    {"storage": [{"mountPath": "/proc", "emptyDir": {}}]},
    {"storage": [{"mountPath": "/mcp-bridge", "emptyDir": {}}]},
    {"storage": [{"mountPath": "/run/mcpgateway/refs", "emptyDir": {}}]},
    {"env": [{"name": "K", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "namespace": "kube-system"}}}]},
    {"env": [{"name": "K", "valueFrom": {"secretKeyRef": {"name": "../s", "key": "k"}}}]},
    {"env": [{"name": "K", "valueFrom": {"secretKeyRef": {"name": "s", "key": "../../etc/passwd"}}}]},
    {"env": [{"name": "K", "valueFrom": {"fieldRef": {"fieldPath": "spec.serviceAccountName"}}}]},
    {"env": [{"name": "K=V", "value": "x"}]},
    {"envFrom": [{"secretRef": {"name": "s", "namespace": "kube-system"}}]},
    {"image": "time:1\n        securityContext: {privileged: true}"},
    {"image": "time:1, hostNetwork: true"},
    {"image": "{{ owner.uid }} x"},
    {"name": "time\n"},
    {"name": "gateway"},
    {"ports": [{"containerPort": 1, "hostPort": 1}]},
    {"lifecycle": {"postStart": {"exec": {"command": ["x"]}}}},
    {"serviceAccountName": "admin"},
    {"hostUsers": True},
)
IN_THE_SPEC: tuple[dict[str, Any], ...] = (
    {"hostNetwork": True},
    {"hostPID": True},
    {"hostIPC": True},
    {"serviceAccountName": "admin"},
    {"automountServiceAccountToken": True},
    {"nodeName": "control-plane"},
    {"priorityClassName": "system-node-critical"},
    {"podTemplate": {"spec": {"hostNetwork": True}}},
    {"initContainers": [{"name": "x", "image": "x"}]},
    {"runtimeClassName": "x"},
    {"podLabels": {"app.kubernetes.io/instance": "another"}},
    {"podLabels": {"mcpgateway.dev/server": "another"}},
    {"podLabels": {"a": "b\n  hostNetwork: true"}},
    {"nodeSelector": {"a": "b\nhostNetwork: true"}},
    {"service": {"externalIPs": ["203.0.113.1"]}},
    {"ingress": {"host": "a.example", "path": "/ { } location /x"}},
    {"ingress": {"host": "a.example", "path": "//b.example"}},
    {"httpRoute": {"parentRefs": [{"name": "public"}], "path": "/a//b"}},
    {"image": "gateway:1 --privileged"},
    {"auth": {"tokens": [{"name": "a", "secretKeyRef": {"name": "s", "key": "k", "namespace": "kube-system"}}]}},
    {"imagePullSecrets": [{"name": "../s"}]},
    {"ownerReferences": []},
)


@pytest.mark.parametrize("more", IN_A_SERVER, ids=json.dumps)
def test_a_dangerous_server_is_stopped_at_admission(admission: Admission, more: dict[str, Any]) -> None:
    assert admission.refusal(gateway("demo", {**server("time"), **more}))


@pytest.mark.parametrize("more", IN_THE_SPEC, ids=json.dumps)
def test_a_dangerous_gateway_is_stopped_at_admission(admission: Admission, more: dict[str, Any]) -> None:
    assert admission.refusal(gateway("demo", server("time"), **more))
