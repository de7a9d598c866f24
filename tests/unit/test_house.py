"""The house itself: what would break silently if somebody tidied up."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from mcpgateway.protocol.errors import Reason as GatewayReason
from mcpgateway_operator.reconcile.reasons import Reason as OperatorReason
from tests.support.paths import ROOT


@pytest.mark.parametrize("folder", ["operator", "gateway"])
def test_the_top_folders_are_not_packages(folder: str) -> None:
    assert not (ROOT / folder / "__init__.py").exists()


def test_the_standard_librarys_operator_is_found_from_the_root() -> None:
    code = "import operator, collections; print(operator.__file__)"
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert str(ROOT) not in out
    assert out.strip().endswith("operator.py")


def test_the_gateway_starts_without_the_sdk_and_without_pydantic() -> None:
    code = "import sys, mcpgateway.__main__; print([m for m in ('mcp', 'pydantic', 'kopf', 'aiohttp') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


def test_lock_files_carry_hashes_and_no_addresses() -> None:
    for lock in [*(ROOT / "requirements").glob("*.txt"), *(ROOT / "examples").rglob("requirements.txt")]:
        text = lock.read_text()
        assert "--hash=sha256:" in text, lock
        assert "://" not in text, lock
    package_lock = (ROOT / "examples/images/everything/package-lock.json").read_text()
    assert '"integrity"' in package_lock
    assert '"resolved"' not in package_lock


_OF_TRUE_CONDITIONS = {
    OperatorReason.VALID,
    OperatorReason.RESOLVED,
    OperatorReason.PROGRAMMED,
    OperatorReason.SERVERS_READY,
}


def test_every_reason_has_an_anchor_in_the_manual() -> None:
    reasons = {str(reason) for reason in ({*OperatorReason} - _OF_TRUE_CONDITIONS) | {*GatewayReason}}
    headings = set(re.findall(r"^### (\w+)", (ROOT / "docs/conditions.md").read_text(), re.MULTILINE))
    assert sorted(reasons - headings) == []


# What a newcomer has in mind, in the words of MCP and Kubernetes → where it is.
CONCEPTS = {
    "gateway/mcpgateway": {
        "audit": "access/audit",
        "config": "config",
        "credentials": "access/credentials",
        "deadline": "runtime/deadlines",
        "decoder": "protocol/decoder",
        "discovery": "upstream/discovery",
        "errors": "protocol/errors",
        "heartbeat": "upstream/heartbeat",
        "http sse": "edge/http_sse",
        "input required": "requests/input_required",
        "jsonrpc": "protocol/jsonrpc",
        "keyring": "access/keyring",
        "listen": "streams/listen",
        "logs": "runtime/logs",
        "merge": "catalog/merge",
        "metrics": "runtime/metrics",
        "page": "catalog/pages",
        "replay": "streams/replay",
        "request meta": "protocol/request_meta",
        "resource subscription": "streams/resource_subscriptions",
        "route": "edge/routes",
        "router": "requests/router",
        "server message": "streams/server_messages",
        "session": "access/sessions",
        "sse event": "protocol/sse_events",
        "task": "requests/tasks",
        "tool rule": "catalog/tool_rules",
        "translation": "protocol/translation",
        "uri template": "catalog/uri_templates",
        "version": "protocol/versions",
        "visible text": "protocol/visible_text",
    },
    "operator/mcpgateway_operator": {
        "bridge flag": "render/bridge_flags",
        "condition": "reconcile/conditions",
        "crd": "api/crd",
        "drift": "observe/drift",
        "field ownership": "observe/field_ownership",
        "gateway config": "render/gateway_config",
        "health": "serving/health",
        "image pull quarantine": "reconcile/image_pull_quarantine",
        "leader election": "kube/leader_election",
        "metrics": "serving/metrics",
        "mount": "render/mounts",
        "naming": "render/naming",
        "network policy": "render/network_policies",
        "reconciler": "reconcile/reconciler",
        "rollout": "reconcile/rollouts",
        "spec": "api/spec",
        "tool pin": "reconcile/tool_pins",
        "validation": "api/validation",
        "watch": "kube/watches",
        "workqueue": "reconcile/workqueue",
    },
}


def _singular(word: str) -> str:
    for plural, ending in (("ies", "y"), ("ches", "ch"), ("s", "")):
        if word.endswith(plural):
            return word.removesuffix(plural) + ending
    return word


def _words(name: str) -> frozenset[str]:
    return frozenset(_singular(word) for word in re.split(r"[ _]", name))


@pytest.mark.parametrize(
    ("tree", "concept", "room"), [(tree, *entry) for tree, concepts in CONCEPTS.items() for entry in concepts.items()]
)
def test_a_concept_is_the_name_of_one_module(tree: str, concept: str, room: str) -> None:
    """`ls -R` answers where a concept is: one module or package has its name."""
    paths = [path.relative_to(ROOT / tree).with_suffix("") for path in (ROOT / tree).rglob("*.py")]
    modules = {str(path.parent if path.name == "__init__" else path) for path in paths}
    assert {module for module in modules if _words(module.rsplit("/", 1)[-1]) == _words(concept)} == {room}
