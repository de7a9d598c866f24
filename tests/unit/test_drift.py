"""Field sets of server-side apply: what is ours as it is now, and what others have added."""

from __future__ import annotations

import copy
from typing import Any

from mcpgateway_operator.observe import child_state, drift, field_ownership
from mcpgateway_operator.render.naming import MANAGER

MANIFEST: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "d", "namespace": "n", "labels": {"a": "b"}, "annotations": {}},
    "spec": {"template": {"spec": {"containers": [{"name": "c", "ports": [{"name": "p", "containerPort": 1}], "args": ["x"]}]}}},
}
PORT = 'k:{"containerPort":1,"protocol":"TCP"}'
CONTAINER: dict[str, Any] = {
    ".": {},
    "f:name": {},
    "f:args": {},
    "f:ports": {PORT: {".": {}, "f:containerPort": {}, "f:name": {}}},
}
OURS: dict[str, Any] = {
    "f:metadata": {"f:labels": {"f:a": {}}},
    "f:spec": {"f:template": {"f:spec": {"f:containers": {'k:{"name":"c"}': CONTAINER}}}},
}


def live(*foreign: tuple[str, dict[str, Any]], containers: list[dict[str, Any]] | None = None, **spec: Any) -> dict[str, Any]:
    """The object as the API server has it: with defaults, and with who did what."""
    container = {
        "name": "c",
        "args": ["x"],
        "ports": [{"name": "p", "containerPort": 1, "protocol": "TCP"}],
        "terminationMessagePath": "/dev/termination-log",
    }
    entries = [{"manager": MANAGER, "operation": "Apply", "fieldsV1": OURS}]
    entries += [{"manager": who, "operation": "Update", "fieldsV1": fields} for who, fields in foreign]
    metadata = {"name": "d", "namespace": "n", "uid": "u", "labels": {"a": "b", "other": "x"}, "resourceVersion": "7"}
    template = {"spec": {"containers": containers or [container], "restartPolicy": "Always"}, "metadata": {}}
    return {"kind": "Deployment", "metadata": {**metadata, "managedFields": entries}, "spec": {"template": template, **spec}}


def in_containers(**container: Any) -> dict[str, Any]:
    return {"f:spec": {"f:template": {"f:spec": {"f:containers": container}}}}


def test_an_unchanged_object_is_recognized_after_a_restart() -> None:
    assert child_state.owned(live()).applied == child_state.wanted_digest(MANIFEST)


def test_a_field_owned_by_another_manager_is_applied_again() -> None:
    body = copy.deepcopy(live())
    del body["metadata"]["managedFields"][0]["fieldsV1"]["f:metadata"]["f:labels"]["f:a"]
    assert child_state.owned(body).applied != child_state.wanted_digest(MANIFEST)


def test_an_object_with_a_foreign_addition_is_applied_again() -> None:
    fields = in_containers(**{'k:{"name":"c"}': {"f:stdin": {}}})
    container = {"name": "c", "stdin": True}
    body = live(("kubectl", fields), containers=[container])
    assert [addition.path for addition in drift.additions(body)] == ["/spec/template/spec/containers/0/stdin"]
    assert child_state.owned(body).applied == ""


def test_items_of_lists_are_removed_from_the_end() -> None:
    fields = in_containers(**{f'k:{{"name":"{name}"}}': {".": {}, "f:name": {}} for name in ("x", "y")})
    body = live(("kubectl", fields), containers=[{"name": "x"}, {"name": "c"}, {"name": "y"}])
    result = drift.additions(body)
    assert [addition.path for addition in result] == [f"/spec/template/spec/containers/{index}" for index in (2, 0)]
    assert drift.removal(body, result)[0] == {"op": "replace", "path": "/metadata/resourceVersion", "value": "7"}


def test_a_restart_annotation_and_an_autoscaler_are_tolerated() -> None:
    restarted: dict[str, Any] = {
        "f:metadata": {"f:annotations": {".": {}, "f:kubectl.kubernetes.io/restartedAt": {}, "f:x/y": {}}}
    }
    body = live(("kubectl-rollout", {"f:spec": {"f:template": restarted}}), ("hpa", {"f:spec": {"f:replicas": {}}}), replicas=5)
    body["spec"]["template"]["metadata"]["annotations"] = {"kubectl.kubernetes.io/restartedAt": "now", "x/y": "z"}
    assert [addition.path for addition in drift.additions(body)] == ["/spec/template/metadata/annotations/x~1y"]


def test_additions_of_webhooks_are_tolerated() -> None:
    body = live((MANAGER, in_containers(**{'k:{"name":"istio"}': {".": {}, "f:name": {}}})), containers=[{"name": "istio"}])
    assert drift.additions(body) == []


def test_fields_of_a_subresource_are_ignored() -> None:
    body = live()
    body["metadata"]["managedFields"].append(
        {"manager": "c", "operation": "Update", "subresource": "status", "fieldsV1": {"f:spec": {"f:paused": {}}}}
    )
    body["spec"]["paused"] = True
    assert drift.additions(body) == []
    assert len(list(field_ownership.entries(body, ours=False))) == 0
