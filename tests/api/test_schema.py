"""What the API server refuses, word for word: each rule of the schema once."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.api.conftest import Space, gateway, server
from tests.support.kubectl import KubectlError
from tests.support.paths import ROOT

TOKEN = {"name": "dev", "secretKeyRef": {"name": "s", "key": "k"}}
LONG = "a" * 41


def env(*variables: dict[str, Any]) -> dict[str, Any]:
    return gateway("demo", server("time", env=list(variables)))


def remote(**fields: Any) -> dict[str, Any]:
    return {"name": "far", "url": "https://example.com/mcp", **fields}


@pytest.mark.parametrize(
    ("resource", "message"),
    [
        (gateway("Demo.x"), "metadata.name must be a DNS-1035 label of at most 40 characters"),
        (gateway(LONG), "metadata.name must be a DNS-1035 label of at most 40 characters"),
        (
            gateway(auth={}),
            "spec.auth needs tokens; to let in everybody who can reach the gateway, say allowUnauthenticated: true",
        ),
        (gateway(auth={"tokens": []}), "spec.auth needs tokens"),
        (
            gateway(auth={"tokens": [TOKEN], "allowUnauthenticated": True}),
            "auth.allowUnauthenticated: true makes auth.tokens meaningless: remove one of them",
        ),
        (
            gateway("demo", {"name": "time", "image": "i"}),
            "command is required with image, because the bridge starts the program itself",
        ),
        (gateway("demo", server("time", command=[])), "command is required with image"),
        (gateway("demo", {"name": "a"}), "a server needs exactly one of image (a program in a container) and url"),
        (gateway("demo", server("a", url="https://example.com/mcp")), "a server needs exactly one of image"),
        (gateway("demo", remote(args=["x"])), "command, args, env and envFrom belong to a container"),
        (gateway("demo", remote(url="ftp://example.com")), "spec.servers[0].url in body should match"),
        (gateway("demo", remote(url="https://user:secret@example.com/mcp")), "spec.servers[0].url in body should match"),
        (gateway("demo", server("a", headers=[{"name": "X-A", "value": "1"}])), "headers belong to a remote server"),
        (gateway("demo", remote(headers=[{"name": "X-A"}])), "headers needs exactly one of value and valueFrom"),
        (gateway("demo", remote(headers=[{"name": "Host", "value": "x"}])), "headers may not set what the protocol itself sets"),
        (gateway("demo", remote(headers=[{"name": "MCP-Name", "value": "x"}])), "headers may not set what the protocol"),
        (gateway("demo", remote(headers=[{"name": "X A", "value": "x"}])), "headers[0].name in body should match"),
        (gateway("demo", remote(headers=[{"name": "X-A", "value": "x\r\nY: z"}])), "headers[0].value in body should match"),
        (gateway(podLabels={"app.kubernetes.io/name": "x"}), "podLabels may not set app.kubernetes.io or mcpgateway.dev keys"),
        (gateway(podLabels={"a": "b c"}), "spec.podLabels.a in body should match"),
        (gateway(podAnnotations={"mcpgateway.dev/poke": "x"}), "podAnnotations may not set mcpgateway.dev keys"),
        (
            gateway(podAnnotations={"container.apparmor.security.beta.kubernetes.io/gateway": "unconfined"}),
            "podAnnotations may not set mcpgateway.dev keys, nor kubernetes.io keys",
        ),
        (gateway(tolerations=[{"operator": "Exists", "value": "x"}]), "a toleration with operator Exists has no value"),
        (gateway(tolerations=[{"value": "x"}]), "a toleration without a key needs operator: Exists"),
        (gateway(tolerations=[{"key": "k", "tolerationSeconds": 5}]), "tolerationSeconds is for effect: NoExecute"),
        (gateway(tolerations=[{"key": "k", "effect": "Never"}]), "spec.tolerations[0].effect: Unsupported value"),
        (gateway("demo", server("keys")), "name is reserved for the gateway's own objects"),
        (gateway("demo", server(LONG)), "may not be more than 40"),
        (gateway("demo", server("Up")), "spec.servers[0].name in body should match"),
        (gateway("demo", server("a"), server("a")), 'duplicate entries for key [name="a"]'),
        (gateway(servers=[]), "spec.servers in body should have at least 1 items"),
        (gateway("demo", *[server(f"s{n}") for n in range(65)]), "must have at most 64 items"),
        (gateway("demo", server("a", image="has space")), "spec.servers[0].image in body should match"),
        (
            gateway("demo", server("a", isolation="Pod")),
            'Unsupported value: "Pod": supported values: "Auto", "Shared", "Session", "Principal", "Call"',
        ),
        (gateway("demo", server("a", pool=0)), "spec.servers[0].pool in body should be greater than or equal to 1"),
        (gateway("demo", server("a", tools={"allow": ["a b"]})), "spec.servers[0].tools.allow[0] in body should match"),
        (gateway("demo", server("a", tools={"overrides": [{"name": "t"}]})), "tools.overrides needs rename or description"),
        (gateway("demo", server("a", callTimeout="soon")), "spec.servers[0].callTimeout in body should match"),
        (gateway("demo", server("a", resources={"limits": {"memory": "lots"}})), "spec.servers[0].resources.limits.memory"),
        (env({"name": "A"}), "env needs exactly one of value and valueFrom"),
        (
            env({"name": "A", "value": "x", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}),
            "env needs exactly one of value and valueFrom",
        ),
        (env({"name": "A", "valueFrom": {}}), "valueFrom needs exactly one of secretKeyRef and configMapKeyRef"),
        (env({"name": "A", "value": "1"}, {"name": "A", "value": "2"}), 'duplicate entries for key [name="A"]'),
        (env({"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "../k"}}}), "key in body should match"),
        (gateway("demo", server("a", envFrom=[{}])), "envFrom needs exactly one of secretRef and configMapRef"),
        (gateway(mode="Both"), 'spec.mode: Unsupported value: "Both": supported values: "MultiPod", "Sidecar"'),
        (gateway(replicas=-1), "spec.replicas in body should be greater than or equal to 0"),
        (gateway(service={"port": 0}), "spec.service.port in body should be greater than or equal to 1"),
        (gateway(service={"annotations": {"kubernetes.io/x": "other"}}), "service.annotations may not set kubernetes.io keys"),
        (gateway(allowedHosts=["Example.com"]), "spec.allowedHosts[0] in body should match"),
        (gateway(allowedOrigins=["app.example.com/"]), "spec.allowedOrigins[0] in body should match"),
        (gateway(hostNetwork=True), "field not declared in schema"),
        (gateway("demo", server("a", securityContext={"privileged": True})), "field not declared in schema"),
        (gateway("demo", server("a", volumes=[{"hostPath": {"path": "/"}}])), "field not declared in schema"),
    ],
)
def test_a_wrong_resource_is_refused_by_name(space: Space, resource: dict[str, Any], message: str) -> None:
    with pytest.raises(KubectlError) as caught:
        space.apply(resource)
    assert message in str(caught.value)


@pytest.mark.parametrize("sample", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda path: path.name)
def test_every_sample_is_accepted(space: Space, sample: Any) -> None:
    for document in yaml.safe_load_all(sample.read_text()):
        space.kubectl(
            "-n", space.name, "apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=yaml.safe_dump(document)
        )


def test_explain_is_the_manual(space: Space) -> None:
    assert "Which process serves a call." in space.kubectl("explain", "mcpgateway.spec.servers.isolation")


def test_the_scale_subresource_works(space: Space) -> None:
    space.apply(gateway())
    space.kubectl("-n", space.name, "scale", "mcpgateway/demo", "--replicas=3")
    assert space.get("mcpgateway", "demo")["spec"]["replicas"] == 3
