"""From `kubectl apply` to Ready with the images on the node, beside bare Deployments of the very same pods."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import yaml

from mcpgateway_operator.api.validation import parse_spec
from mcpgateway_operator.render.context import Context
from mcpgateway_operator.render.render import render
from tests.support import cluster as clusters
from tests.support import images
from tests.support.cluster import Cluster
from tests.support.kubectl import Kubectl, eventually
from tests.support.paths import ROOT

ROUNDS = 3
AIM = {"MultiPod": 15.0, "Sidecar": 10.0}
GATEWAY = next(image for image in images.ALL if image.name == "gateway").reference


def measure() -> dict[str, list[dict[str, Any]]]:
    """Seconds, median of interleaved rounds."""
    with clusters.cluster() as observed:
        if observed.node is not None:
            observed.load(images.build())
        observed.install_operator()
        return {"seconds from apply to Ready": _rounds(observed)}


def _rounds(observed: Cluster) -> list[dict[str, Any]]:
    samples: dict[tuple[str, str], list[float]] = {}
    for _ in range(ROUNDS):
        for mode in ("MultiPod", "Sidecar"):
            for what, run in (("MCPGateway", _gateway), ("bare Deployments", _bare)):
                samples.setdefault((mode, what), []).append(_timed(observed.kubectl, mode, run))
    rows = []
    for mode in ("MultiPod", "Sidecar"):
        ours, bare = (statistics.median(samples[mode, what]) for what in ("MCPGateway", "bare Deployments"))
        rows.append({"mode": mode, "MCPGateway s": ours, "bare Deployments s": bare, "ratio": ours / bare, "aim s": AIM[mode]})
    return rows


def _sample(mode: str) -> dict[str, Any]:
    file = {"MultiPod": "quickstart", "Sidecar": "sidecar"}[mode]
    document: dict[str, Any] = yaml.safe_load((ROOT / "examples" / f"{file}.yaml").read_text())
    return document


def _timed(kubectl: Kubectl, mode: str, run: Callable[[Kubectl, str, dict[str, Any]], None]) -> float:
    namespace = f"bench-{time.time_ns()}"
    clusters.make_namespace(kubectl, namespace)
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "mcp-token"}, "stringData": {"token": "bench"}}
    kubectl.apply(secret, namespace=namespace)
    try:
        began = time.perf_counter()
        run(kubectl, namespace, _sample(mode))
        return time.perf_counter() - began
    finally:
        kubectl("delete", "namespace", namespace, "--wait=true", timeout=180)


def _gateway(kubectl: Kubectl, namespace: str, document: dict[str, Any]) -> None:
    kubectl.apply(document, namespace=namespace)
    name = document["metadata"]["name"]
    kubectl("-n", namespace, "wait", "--for=condition=Ready", f"mcpgateway/{name}", "--timeout=120s", timeout=130)


def _bare(kubectl: Kubectl, namespace: str, document: dict[str, Any]) -> None:
    context = Context(name=document["metadata"]["name"], namespace=namespace, uid="bench-uid", image=GATEWAY)
    objects = [dict(o) for o in render(parse_spec(document["spec"]), context).objects]
    for manifest in objects:
        manifest["metadata"] = {k: v for k, v in manifest["metadata"].items() if k != "ownerReferences"}
        manifest["metadata"]["labels"] = {"bench": "bare"}
        if manifest["kind"] == "Deployment":  # pods without an owner: the operator must not see them
            for labels in (manifest["spec"]["selector"]["matchLabels"], manifest["spec"]["template"]["metadata"]["labels"]):
                labels.pop("app.kubernetes.io/managed-by", None)
    kubectl.apply(*objects, namespace=namespace)
    count = sum(o["kind"] == "Deployment" for o in objects)

    def available() -> bool:
        observed = kubectl.get("deployments", "-n", namespace)["items"]
        return bool(sum(item.get("status", {}).get("availableReplicas", 0) >= 1 for item in observed) == count)

    eventually("the bare Deployments", available, timeout=120, every=0.05)
