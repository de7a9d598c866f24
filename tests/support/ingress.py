"""An ingress controller beside our own node: Contour and Envoy, for Ingress and for Gateway API's HTTPRoute."""

from __future__ import annotations

import base64
import json
from typing import Any

from . import operators, pypi, tools
from .certificates import self_signed
from .kubectl import Kubectl
from .node import GATEWAY, Node

CLASS = "contour"
PARENT = {"name": "contour", "namespace": "projectcontour"}  # the Gateway
# Where Envoy listens: on our own node, and where a given cluster has Contour from its quick start.
_PORT = 8080
OURS, THEIRS = f"http://{GATEWAY}:{_PORT}", "http://envoy.projectcontour.svc"
_XDS = 8001
_FOR_ALL = {"allowedRoutes": {"namespaces": {"from": "All"}}}
_CRDS = "gatewayclasses", "gateways", "httproutes", "referencegrants"
_UNUSED = "extensionservices", "tlsroutes", "grpcroutes", "tcproutes", "backendtlspolicies"


def serve(node: Node) -> None:
    """Start both, unless they run. They end with the node."""
    if node.processes.alive("envoy"):
        return
    kubectl, contour = node.plane.kubectl, str(tools.module("contour"))
    _install(kubectl)
    folder = node.folder / "contour"
    folder.mkdir(exist_ok=True)
    (folder / "contour.json").write_text(json.dumps({"gateway": {"gatewayRef": PARENT}}))
    flags = [f"--kubeconfig={node.plane.kubeconfig}", f"--config-path={folder}/contour.json", f"--xds-port={_XDS}"]
    flags += ["--xds-address=127.0.0.1", "--insecure", "--disable-leader-election", f"--ingress-class-name={CLASS}"]
    flags += [f"--ingress-status-address={GATEWAY}", "--http-address=127.0.0.1", "--health-address=127.0.0.1"]
    node.processes.start("contour", [contour, "serve", *flags, *[f"--disable-feature={one}" for one in _UNUSED]])
    bootstrap = [contour, "bootstrap", f"{folder}/envoy.json", "--xds-address=127.0.0.1", f"--xds-port={_XDS}"]
    tools.run([*bootstrap, f"--admin-address={folder}/admin.sock"])
    flags = ["--config-path", f"{folder}/envoy.json", "--service-cluster", "contour", "--service-node", "test"]
    node.processes.start("envoy", [str(pypi.program("ingress", "envoy")), *flags, "--concurrency", "1"])


def _install(kubectl: Kubectl) -> None:
    """What Contour looks for in the cluster."""
    gateway_api = tools.sources(operators.GATEWAY_API[0]) / "config" / "crd" / "standard"
    ours = tools.sources(tools.MODULES["contour"].replace("/cmd/contour@", "@")) / "examples" / "contour" / "01-crds.yaml"
    for file in (ours, *(gateway_api / f"gateway.networking.k8s.io_{name}.yaml" for name in _CRDS)):
        kubectl("apply", "--server-side", "-f", str(file))
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": PARENT["namespace"]}})
    kubectl("wait", "--for=condition=Established", "crd", "gateways.gateway.networking.k8s.io")
    open_gateway(kubectl)


def open_gateway(kubectl: Kubectl) -> None:
    """The Gateway that routes attach to; a given cluster's Contour has been told of one with this name."""
    kubectl.apply(*_gateway())


def _gateway() -> list[dict[str, Any]]:
    """For routes of all namespaces. Contour makes use of an Ingress only where there is a listener of both kinds."""
    api = "gateway.networking.k8s.io/v1"
    certificate, key = (base64.b64encode(part).decode() for part in self_signed("*.example.com"))
    data = {"tls.crt": certificate, "tls.key": key}
    # a port under 1024 stands for one 8000 higher, so that Envoy needs no privilege
    http = {"name": "http", "port": _PORT - 8000, "protocol": "HTTP", **_FOR_ALL}
    https = {"name": "https", "port": 443, "protocol": "HTTPS", **_FOR_ALL, "tls": {"certificateRefs": [{"name": CLASS}]}}
    controller = {"controllerName": "projectcontour.io/gateway-controller"}
    spec = {"gatewayClassName": CLASS, "listeners": [http, https]}
    return [
        {"apiVersion": "v1", "kind": "Secret", "metadata": PARENT, "type": "kubernetes.io/tls", "data": data},
        {"apiVersion": api, "kind": "GatewayClass", "metadata": {"name": CLASS}, "spec": controller},
        {"apiVersion": api, "kind": "Gateway", "metadata": PARENT, "spec": spec},
    ]
