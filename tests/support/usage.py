"""metrics-server beside our own node, so that pods' use of the CPU is known and HorizontalPodAutoscalers work."""

from __future__ import annotations

from typing import Any

from . import tools
from .kubectl import Kubectl
from .node import GATEWAY, Node

_PORT = 4443
_PLACE = {"name": "metrics-server", "namespace": "kube-system"}


def served(kubectl: Kubectl) -> bool:
    """Whether somebody serves the use of the nodes."""
    return '"usage"' in kubectl("get", "--raw", "/apis/metrics.k8s.io/v1beta1/nodes", check=False)


def measure(node: Node) -> None:
    """Start it, unless it runs. It ends with the node."""
    if node.processes.alive("metrics-server"):
        return
    kubeconfig = node.plane.kubeconfig
    flags = [f"--{use}kubeconfig={kubeconfig}" for use in ("", "authentication-", "authorization-")]
    flags += ["--kubelet-insecure-tls", "--kubelet-preferred-address-types=InternalIP"]
    flags += ["--metric-resolution=10s", "--kubelet-request-timeout=5s"]  # the latter has to be the shorter one
    flags += [f"--secure-port={_PORT}", f"--cert-dir={node.folder}/metrics-server"]
    node.processes.start("metrics-server", [str(tools.module("metrics-server")), *flags])
    node.plane.kubectl.apply(*_registration())


def _registration() -> list[dict[str, Any]]:
    """The API server asks it as an extension; it runs on the node itself, not in a pod."""
    group = {"group": "metrics.k8s.io", "version": "v1beta1", "groupPriorityMinimum": 100, "versionPriority": 100}
    reference = {**_PLACE, "port": 443}
    slices = {"name": "metrics-server-1", "namespace": "kube-system", "labels": {"kubernetes.io/service-name": "metrics-server"}}
    return [
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": "v1beta1.metrics.k8s.io"},
            "spec": {**group, "insecureSkipTLSVerify": True, "service": reference},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": _PLACE,
            "spec": {"ports": [{"port": 443, "targetPort": _PORT}]},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": slices,
            "addressType": "IPv4",
            "ports": [{"port": _PORT}],
            "endpoints": [{"addresses": [GATEWAY], "conditions": {"ready": True}}],
        },
    ]
