"""The metrics adapter of tests/e2e/image as a part of a cluster: by it an autoscaler sees the gateway's own metrics."""

from __future__ import annotations

import base64
from typing import Any

from . import images
from .certificates import self_signed
from .kubectl import Kubectl, eventually

NAMESPACE = "mcpgateway-test-metrics"
METRIC = "mcpgateway_calls_in_flight"
_NAME = "adapter"
_API = "/apis/custom.metrics.k8s.io/v1beta2"
_IMAGE = next(image for image in images.ALL if image.name == "test-client").reference


def serve(kubectl: Kubectl) -> None:
    """Run it, and wait until the API server serves what it says."""
    certificate, key = (base64.b64encode(part).decode() for part in self_signed(f"{_NAME}.{NAMESPACE}.svc"))
    data = {"tls.crt": certificate, "tls.key": key}
    tls = {"apiVersion": "v1", "kind": "Secret", "metadata": _metadata(), "type": "kubernetes.io/tls", "data": data}
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    kubectl.apply(*_rights(), tls, _deployment(), *_registration())
    eventually("the metrics adapter", lambda: METRIC in kubectl("get", "--raw", _API, check=False))


def remove(kubectl: Kubectl) -> None:
    """Leave nothing behind: an API without a server blocks the deletion of namespaces."""
    kubectl("delete", "apiservice", "v1beta2.custom.metrics.k8s.io", "--ignore-not-found")
    kubectl("delete", "clusterrolebinding,clusterrole", f"{NAMESPACE}-{_NAME}", "--ignore-not-found")
    kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def _metadata() -> dict[str, Any]:
    return {"name": _NAME, "namespace": NAMESPACE}


def _rights() -> list[dict[str, Any]]:
    """It lists pods; the autoscaler's controller reads what it serves."""
    group = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": f"{NAMESPACE}-{_NAME}"}
    subjects = [
        {"kind": "ServiceAccount", **_metadata()},
        {"kind": "ServiceAccount", "name": "horizontal-pod-autoscaler", "namespace": "kube-system"},
    ]
    rules = [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
        {"apiGroups": ["custom.metrics.k8s.io"], "resources": ["*"], "verbs": ["get", "list"]},
    ]
    metadata = {"name": f"{NAMESPACE}-{_NAME}"}
    rbac = "rbac.authorization.k8s.io/v1"
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _metadata()},
        {"apiVersion": rbac, "kind": "ClusterRole", "metadata": metadata, "rules": rules},
        {"apiVersion": rbac, "kind": "ClusterRoleBinding", "metadata": metadata, "roleRef": group, "subjects": subjects},
    ]


def _deployment() -> dict[str, Any]:
    container = {
        "name": _NAME,
        "image": _IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/opt/venv/bin/python", "/adapter.py", METRIC],
        "volumeMounts": [{"name": "tls", "mountPath": "/tls"}],
        "readinessProbe": {"tcpSocket": {"port": 6443}, "periodSeconds": 1},
    }
    pod = {
        "serviceAccountName": _NAME,
        "terminationGracePeriodSeconds": 0,
        "containers": [container],
        "volumes": [{"name": "tls", "secret": {"secretName": _NAME}}],
    }
    labels = {"app": _NAME}
    template = {"metadata": {"labels": labels}, "spec": pod}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": _metadata(), "spec": spec}


def _registration() -> list[dict[str, Any]]:
    group = {"group": "custom.metrics.k8s.io", "version": "v1beta2", "groupPriorityMinimum": 100, "versionPriority": 100}
    service = {"ports": [{"port": 443, "targetPort": 6443}], "selector": {"app": _NAME}}
    return [
        {"apiVersion": "v1", "kind": "Service", "metadata": _metadata(), "spec": service},
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": "v1beta2.custom.metrics.k8s.io"},
            "spec": {**group, "insecureSkipTLSVerify": True, "service": {**_metadata(), "port": 443}},
        },
    ]
