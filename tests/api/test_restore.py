"""A namespace that comes back from a backup: new uids, owner references that are stale or gone, and an old status.

Velero restores objects without owner references (its `resetMetadata`), others write them back as they were; with
`--restore-status` the status is the one of the backup.
"""

from __future__ import annotations

import json
import random
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import KINDS, Space
from tests.support import operators
from tests.support.kubectl import eventually
from tests.support.resources import gateway, server

_OF_THE_SERVER = ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "finalizers", "deletionTimestamp")
_CLAIMS = [
    {"mountPath": "/kept", "size": "1Gi", "onDelete": "Retain"},
    {"mountPath": "/gone", "size": "1Gi", "onDelete": "Delete"},
]


def backup(space: Space) -> list[dict[str, Any]]:
    """Everything of the gateway, as a backup has it."""
    return [space.get("mcpgateway", "demo"), *space.get(KINDS, "-l", "app.kubernetes.io/managed-by=mcpgateway-operator")["items"]]


def wipe(space: Space) -> None:
    space.kubectl("-n", space.name, "delete", "mcpgateway", "demo")
    space.kubectl("-n", space.name, "delete", "pvc", "--all", "--wait=false")
    patch = '{"metadata":{"finalizers":null}}'  # no controller of volumes runs here
    for claim in space.kubectl("-n", space.name, "get", "pvc", "-o", "name").split():
        space.kubectl("-n", space.name, "patch", claim, "--type=merge", "-p", patch, check=False)
    eventually("nothing to be left", lambda: space.owned() == {})


def restore(space: Space, saved: list[dict[str, Any]], references: str) -> None:
    """In any order: a backup keeps none that owner references need."""
    for document in random.sample(saved, k=len(saved)):
        metadata = {name: value for name, value in document["metadata"].items() if name not in _OF_THE_SERVER}
        if references == "removed":
            metadata.pop("ownerReferences", None)
        spec = {name: value for name, value in document.get("spec", {}).items() if name != "volumeName"}
        if spec.get("clusterIP", "None") != "None":
            del spec["clusterIP"], spec["clusterIPs"]
        whole = {**document, "metadata": metadata, **({"spec": spec} if "spec" in document else {})}
        created = space.kubectl("-n", space.name, "create", "-f", "-", "-o", "json", stdin=json.dumps(whole), check=False)
        if document["kind"] == "MCPGateway":
            stale = {**json.loads(created), "status": document["status"]}
            stale["metadata"].pop("resourceVersion")
            space.kubectl("-n", space.name, "replace", "--subresource=status", "-f", "-", stdin=json.dumps(stale), check=False)


def owners(space: Space) -> set[str]:
    """The uids of the gateways that control the objects, secrets of keys aside, which the operator may not change."""
    return {
        reference["uid"]
        for name, item in space.owned().items()
        if not name.startswith("Secret/")
        for reference in item["metadata"].get("ownerReferences", [])
    }


@pytest.mark.parametrize("references", ["stale", "removed"])
@pytest.mark.parametrize("when", ["running", "started after"])
def test_a_restored_gateway_has_all_its_objects_again(
    references: str, when: str, space: Space, operator_kubeconfig: Path, tmp_path: Path
) -> None:
    with operators.operator(operator_kubeconfig, tmp_path) as first:
        space.apply(gateway("demo", server("time", storage=_CLAIMS)))
        eventually("all objects", lambda: len(space.owned()) >= 8)
        space.await_condition("demo", "Programmed", "False", "Progressing")
        saved = backup(space)
        names = {f"{document['kind']}/{document['metadata']['name']}" for document in saved[1:] if document["kind"] != "Secret"}
        wipe(space)
        if when == "started after":
            operators.stop(first)
        restore(space, saved, references)
        if when == "running":
            _is_whole_again(space, names, saved)
    if when == "started after":
        with operators.operator(operator_kubeconfig, tmp_path):
            _is_whole_again(space, names, saved)


def _is_whole_again(space: Space, names: set[str], saved: list[dict[str, Any]]) -> None:
    uid = space.get("mcpgateway", "demo")["metadata"]["uid"]
    assert uid != saved[0]["metadata"]["uid"]
    eventually("every object", lambda: names <= set(space.owned()))
    eventually("one owner", lambda: owners(space) == {uid})
    eventually("the keys of this gateway", partial(space.find, "secret", f"demo-keys-{uid[:8]}"))
    space.await_condition("demo", "Programmed", "False", "Progressing")
    assert space.get("mcpgateway", "demo")["status"]["observedGeneration"] == 1
