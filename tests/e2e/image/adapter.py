"""A metrics adapter in a pod, as prometheus-adapter is one: what pods say at :8812/metrics, as custom.metrics.k8s.io/v1beta2.

Source: k8s.io/metrics, custom_metrics/v1beta2. `adapter.py METRIC…`; the certificate is in /tls.
"""

from __future__ import annotations

import datetime
import json
import ssl
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import httpx2

GROUP = "custom.metrics.k8s.io/v1beta2"
ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
METRICS = sys.argv[1:]


def pods(namespace: str, selector: str) -> list[dict[str, Any]]:
    """The pods that run."""
    with open(f"{ACCOUNT}/token") as file:
        headers = {"Authorization": f"Bearer {file.read()}"}
    url = f"https://kubernetes.default.svc/api/v1/namespaces/{namespace}/pods"
    answer = httpx2.get(url, params={"labelSelector": selector}, headers=headers, verify=False, timeout=5)
    result: list[dict[str, Any]] = answer.raise_for_status().json()["items"]
    return [pod for pod in result if pod["status"].get("podIP")]


def value(pod: dict[str, Any], metric: str) -> str | None:
    """What a pod says of a metric, as a quantity; None if it says nothing."""
    try:
        text = httpx2.get(f"http://{pod['status']['podIP']}:8812/metrics", timeout=5).text
    except httpx2.HTTPError:
        return None
    result = [line.rpartition(" ")[2] for line in text.splitlines() if line.partition(" ")[0] == metric]
    return f"{int(float(result[0]) * 1000)}m" if result else None


def values(namespace: str, metric: str, selector: str) -> dict[str, Any]:
    """A MetricValueList."""
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    measured = [(pod["metadata"]["name"], value(pod, metric)) for pod in pods(namespace, selector)]
    items = [
        {
            "describedObject": {"kind": "Pod", "apiVersion": "v1", "namespace": namespace, "name": name},
            "metric": {"name": metric},
            "timestamp": now,
            "value": reported,
        }
        for name, reported in measured
        if reported is not None
    ]
    return {"kind": "MetricValueList", "apiVersion": GROUP, "metadata": {}, "items": items}


def resources() -> dict[str, Any]:
    """The APIResourceList."""
    kinds = [
        {"name": f"pods/{metric}", "singularName": "", "namespaced": True, "kind": "MetricValueList", "verbs": ["get"]}
        for metric in METRICS
    ]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": GROUP, "resources": kinds}


def answer(url: str) -> dict[str, Any] | None:
    """What is asked for; None: nothing is known of it."""
    split = urlsplit(url)
    if split.path == f"/apis/{GROUP}":
        return resources()
    match unquote(split.path).removeprefix(f"/apis/{GROUP}/").split("/"):
        case ["namespaces", namespace, "pods", "*", metric] if metric in METRICS:
            return values(namespace, metric, parse_qs(split.query).get("labelSelector", [""])[0])
    return None


class Handler(BaseHTTPRequestHandler):
    """The API server is the only client."""

    def do_GET(self) -> None:
        result = answer(self.path)
        body = json.dumps(result or {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404}).encode()
        self.send_response(404 if result is None else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


server = ThreadingHTTPServer(("", 6443), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/tls/tls.crt", "/tls/tls.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
