"""What our own validation accepts, the API server accepts: the resource, and every object that is rendered from it (O11).

The strings are random; the API server is the judge. So no rule of it for names, labels and ports is missing in ours.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import httpx2
import yaml

from mcpgateway_operator.api.pitfalls import pitfalls
from mcpgateway_operator.api.validation import parse_spec, spec_errors
from mcpgateway_operator.observe.kinds import BY_KIND
from mcpgateway_operator.render.context import Context
from mcpgateway_operator.render.render import render
from tests.api.conftest import Space
from tests.conftest import Scale
from tests.support.controlplane import ControlPlane
from tests.support.resources import gateway, peer, server

ALPHABET = "aaaAz09-._/{} ü"
NUMBERS = (0, 1, 443, 8811, 29999, 30000, 32767, 32768, 65535, 65536)


def secret(name: str = "s", key: str = "k") -> dict[str, Any]:
    return {"name": "A", "valueFrom": {"secretKeyRef": {"name": name, "key": key}}}


def balancer(**fields: Any) -> dict[str, Any]:
    return gateway(service={"type": "LoadBalancer", **fields})


FIELDS: tuple[Callable[[str], dict[str, Any]], ...] = (
    lambda text: gateway(podLabels={text: "a"}),
    lambda text: gateway(podLabels={"a": text}),
    lambda text: gateway(podAnnotations={text: "a"}),
    lambda text: gateway(nodeSelector={text: "a"}),
    lambda text: gateway(nodeSelector={"a": text}),
    lambda text: gateway(tolerations=[{"key": text, "operator": "Exists"}]),
    lambda text: gateway(tolerations=[{"key": "a", "value": text}]),
    lambda text: gateway(imagePullSecrets=[{"name": text}]),
    lambda text: gateway("demo", server("a", env=[secret(name=text)])),
    lambda text: gateway("demo", server("a", env=[secret(key=text)])),
    lambda text: gateway("demo", server("a", storage=[{"mountPath": f"/{text}", "emptyDir": {}}])),
    lambda text: gateway("demo", server("a", storage=[{"mountPath": "/d", "claimName": text}])),
    lambda text: gateway("demo", server("a", storage=[{"mountPath": "/d", "size": "1Gi", "storageClassName": text}])),
    lambda text: gateway("demo", server(text)),
    lambda text: peer(podSelector={"matchLabels": {text: "a"}}),
    lambda text: peer(namespaceSelector={"matchLabels": {"a": text}}),
    lambda text: balancer(loadBalancerClass=text),
    lambda text: balancer(annotations={text: "a"}),
    lambda text: gateway(ingress={"host": text}),
    lambda text: gateway(ingress={"host": "a.example", "tlsSecretName": text}),
    lambda text: gateway(ingress={"host": "a.example", "className": text}),
    lambda text: gateway(ingress={"host": "a.example", "annotations": {text: "a"}}),
)


def texts(chosen: random.Random) -> str:
    """Mostly short; some are around the bounds of labels and names."""
    length = chosen.choice((1, 1, 2, 3, 4, 5, 6, 63, 64, 253))
    if length > 6:
        return "a" * length
    return "".join(chosen.choice(ALPHABET) for _ in range(length))


def resources(chosen: random.Random, number: int) -> list[dict[str, Any]]:
    """Each field with so many texts, and the ports."""
    named = [field(text) for field in FIELDS for text in {"..", "{a}", "10.0.0.1", *(texts(chosen) for _ in range(number))}]
    ports = [balancer(nodePort=port) for port in NUMBERS] + [gateway(service={"port": port}) for port in NUMBERS]
    return [*named, *ports]


class Judge:
    """The API server, asked without effect; a context, which closes its connections."""

    def __init__(self, plane: ControlPlane, namespace: str) -> None:
        config = yaml.safe_load(plane.kubeconfig.read_text())
        self._server, token = config["clusters"][0]["cluster"]["server"], config["users"][0]["user"]["token"]
        self._http = httpx2.Client(verify=False, headers={"Authorization": f"Bearer {token}"})
        self._namespace = namespace

    def __enter__(self) -> Judge:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def refusal(self, manifest: dict[str, Any]) -> str:
        resource = BY_KIND[manifest["kind"]]
        url = f"{self._server}{resource.path}/namespaces/{self._namespace}/{resource.plural}"
        answer = self._http.post(url, params={"dryRun": "All", "fieldValidation": "Strict"}, json=manifest)
        return "" if answer.status_code == 201 else f"{manifest['kind']}: {answer.json()['message']}"


def test_what_validation_accepts_the_api_server_accepts(plane: ControlPlane, space: Space, scale: Scale) -> None:
    refused, accepted = [], 0
    with Judge(plane, space.name) as judge:
        for resource in resources(random.Random(20261128), scale(6, 300)):
            spec = resource["spec"]
            if [*spec_errors(spec), *pitfalls(spec)]:
                continue
            accepted += 1
            context = Context(name="demo", namespace=space.name, uid="u-1", image="i")
            objects = [resource, *render(parse_spec(spec), context).objects]
            refused += [f"{words} of {spec}" for manifest in objects if (words := judge.refusal(manifest))]
    assert accepted > len(FIELDS), "the judge was asked"
    assert refused == []
