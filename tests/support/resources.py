"""MCPGateway resources for tests: good ones to begin with, and wrong ones with what is said of each."""

from __future__ import annotations

from typing import Any

TOKEN = {"name": "dev", "secretKeyRef": {"name": "s", "key": "k"}}
LONG = "a" * 41


def gateway(name: str = "demo", /, *servers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """A resource with one server, unless others are given."""
    return {
        "apiVersion": "mcpgateway.dev/v1alpha1",
        "kind": "MCPGateway",
        "metadata": {"name": name},
        "spec": {
            "auth": {"tokens": [{"name": "dev", "secretKeyRef": {"name": "mcp-token", "key": "token"}}]},
            "servers": list(servers) or [server("time")],
            **spec,
        },
    }


def server(name: str, **more: Any) -> dict[str, Any]:
    """A server."""
    return {"name": name, "image": f"{name}:1", "command": [f"mcp-server-{name}"], **more}


def env(*variables: dict[str, Any]) -> dict[str, Any]:
    return gateway("demo", server("time", env=list(variables)))


def remote(**fields: Any) -> dict[str, Any]:
    return {"name": "far", "url": "https://example.com/mcp", **fields}


def stored(**fields: Any) -> dict[str, Any]:
    """A gateway whose only server has this storage."""
    return gateway("demo", server("a", storage=[{"mountPath": "/data", **fields}]))


def peer(**fields: Any) -> dict[str, Any]:
    """A gateway that lets in this peer only."""
    return gateway(networkPolicy={"ingressFrom": [fields]})


def packaged(**fields: Any) -> dict[str, Any]:
    """A gateway whose only server is a package."""
    return gateway("demo", {"name": "a", "package": {"version": "1.0.0", **fields}})


# Each rule of the schema at least once, with words of the message.
WRONG: list[tuple[dict[str, Any], str]] = [
    (gateway("Demo.x"), "metadata.name must be a DNS-1035 label of at most 40 characters"),
    (gateway(LONG), "metadata.name must be a DNS-1035 label of at most 40 characters"),
    (
        gateway(auth={}),
        "spec.auth needs tokens; to admit every client that can reach the gateway, set allowUnauthenticated: true",
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
    (gateway("demo", {"name": "a"}), "a server needs exactly one of image (a program in a container), package (a program"),
    (gateway("demo", server("a", url="https://example.com/mcp")), "a server needs exactly one of image"),
    (packaged(), "package needs exactly one of npm and pypi"),
    (packaged(npm="a", pypi="b"), "package needs exactly one of npm and pypi"),
    (packaged(npm="a", extras=["x"]), "extras, with and python belong to packages of PyPI: remove them, or give pypi"),
    (packaged(npm="git+https://example.com/a"), "spec.servers[0].package.npm in body should match"),
    (
        packaged(pypi="a", **{"with": ["b @ https://example.com/b.tar.gz"]}),
        "spec.servers[0].package.with[0] in body should match",
    ),
    (packaged(pypi="a", version="latest"), "spec.servers[0].package.version in body should match"),
    (packaged(pypi="a", python="python3"), "spec.servers[0].package.python in body should match"),
    (gateway(packages={"npmRegistry": "https://user:secret@example.com/"}), "spec.packages.npmRegistry in body should match"),
    (
        gateway("demo", {"name": "a", "package": {"npm": "a", "version": "1.0.0"}, "command": ["a"]}),
        "command does not go with package, which has the program",
    ),
    (
        gateway("demo", {"name": "a", "package": {"npm": "a", "version": "1.0.0", "cache": {}}, "replicas": 2}),
        "a package.cache that only one pod can mount allows no replicas or autoscaling",
    ),
    (
        gateway("demo", {"name": "a", "package": {"npm": "a", "version": "1.0.0", "cache": {}}}, mode="Sidecar", replicas=2),
        "in Sidecar mode, storage that only one pod can mount allows no replicas",
    ),
    (gateway("demo", remote(args=["x"])), "command, args, env and envFrom belong to a container"),
    (
        gateway("demo", remote(url="http://example.com:80443/mcp")),
        "url must be http(s)://HOST[:PORT][/PATH] with a port from 1 to",
    ),
    (gateway("demo", remote(url="http://example.com:0/mcp")), "url must be http(s)://HOST[:PORT][/PATH]"),
    (gateway("demo", remote(url=f"http://{'a' * 64}.example/mcp")), "a host name whose labels, between dots, have 1 to 63"),
    (gateway("demo", remote(url="http://a..example/mcp")), "url must be http(s)://HOST[:PORT][/PATH]"),
    (gateway(ingress={"host": f"{'a' * 64}.example"}), "spec.ingress.host in body should match"),
    (gateway("demo", remote(url="ftp://example.com")), "spec.servers[0].url in body should match"),
    (gateway("demo", remote(url="https://user:secret@example.com/mcp")), "spec.servers[0].url in body should match"),
    (gateway("demo", server("a", headers=[{"name": "X-A", "value": "1"}])), "headers belong to a remote server"),
    (
        gateway("demo", server("a", caBundle={"name": "c", "key": "k"})),
        "caBundle belongs to a remote server: remove it, or give url in place of image",
    ),
    (gateway(remotes={"proxy": {"url": "http://user:secret@proxy:3128"}}), "spec.remotes.proxy.url in body should match"),
    (
        gateway(remotes={"proxy": {"url": "http://proxy:3128", "noProxy": ["a,b"]}}),
        "spec.remotes.proxy.noProxy[0] in body should",
    ),
    (
        gateway(remotes={"caBundle": {"name": "c"}}),
        "spec.remotes.caBundle.key: Required value",
    ),
    (gateway("demo", remote(headers=[{"name": "X-A"}])), "headers needs exactly one of value and valueFrom"),
    (gateway("demo", remote(headers=[{"name": "Host", "value": "x"}])), "headers may not set what the protocol itself sets"),
    (gateway("demo", remote(headers=[{"name": "MCP-Name", "value": "x"}])), "headers may not set what the protocol"),
    (gateway("demo", remote(headers=[{"name": "X A", "value": "x"}])), "headers[0].name in body should match"),
    (gateway("demo", remote(headers=[{"name": "X-A", "value": "x\r\nY: z"}])), "headers[0].value in body should match"),
    (gateway(podLabels={"app.kubernetes.io/name": "x"}), "podLabels may not set app.kubernetes.io or mcpgateway.dev keys"),
    (gateway(podLabels={"a": "b c"}), "spec.podLabels.a in body should match"),
    (gateway(podAnnotations={"mcpgateway.dev/config-sync": "x"}), "podAnnotations may not set mcpgateway.dev keys"),
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
    (gateway("demo", server("a", startTimeout=120)), ".startTimeout"),
    (gateway("demo", server("a", resources={"limits": {"memory": "lots"}})), "spec.servers[0].resources.limits.memory"),
    (env({"name": "A"}), "env needs exactly one of value and valueFrom"),
    (
        env({"name": "A", "value": "x", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}),
        "env needs exactly one of value and valueFrom",
    ),
    (env({"name": "A", "valueFrom": {}}), "valueFrom needs exactly one of secretKeyRef and configMapKeyRef"),
    (env({"name": "A", "value": "1"}, {"name": "A", "value": "2"}), 'duplicate entries for key [name="A"]'),
    (env({"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "../k"}}}), "key in body should match"),
    (env({"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": ".."}}}), "key in body should match"),
    (env({"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "..k"}}}), "key in body should match"),
    (env({"name": "A", "valueFrom": {"secretKeyRef": {"name": "a..b", "key": "k"}}}), "name in body should match"),
    (gateway(podLabels={"{x}": "a"}), "podLabels needs keys of at most 63 letters, digits, -, _ and ., after a domain"),
    (gateway(podLabels={"a/b/c": "a"}), "podLabels needs keys of at most 63 letters"),
    (gateway(podAnnotations={"a b": "a"}), "podAnnotations needs keys of at most 63 letters"),
    (gateway(nodeSelector={f"{'a' * 64}": "a"}), "nodeSelector needs keys of at most 63 letters"),
    (gateway(service={"annotations": {"-a": "a"}}), "service.annotations needs keys of at most 63 letters"),
    (gateway(ingress={"host": "a.example", "annotations": {"A.example/a": "a"}}), "ingress.annotations needs keys of at most"),
    (peer(podSelector={"matchLabels": {"a!": "a"}}), "matchLabels needs keys of at most 63 letters"),
    (gateway(tolerations=[{"key": "{k}", "value": "a"}]), "spec.tolerations[0].key in body should match"),
    (gateway(tolerations=[{"key": "k", "value": "{a}"}]), "spec.tolerations[0].value in body should match"),
    (gateway(service={"type": "LoadBalancer", "loadBalancerClass": "{x}"}), "service.loadBalancerClass in body should match"),
    (gateway("demo", server("a", envFrom=[{}])), "envFrom needs exactly one of secretRef and configMapRef"),
    (gateway(mode="Both"), 'spec.mode: Unsupported value: "Both": supported values: "MultiPod", "Sidecar"'),
    (gateway(replicas=-1), "spec.replicas in body should be greater than or equal to 0"),
    (gateway(service={"port": 0}), "spec.service.port in body should be greater than or equal to 1"),
    (gateway(allowedHosts=["Example.com"]), "spec.allowedHosts[0] in body should match"),
    (gateway(allowedOrigins=["app.example.com/"]), "spec.allowedOrigins[0] in body should match"),
    (gateway(hostNetwork=True), "field not declared in schema"),
    (gateway("demo", server("a", securityContext={"privileged": True})), "field not declared in schema"),
    (gateway("demo", server("a", volumes=[{"hostPath": {"path": "/"}}])), "field not declared in schema"),
    (stored(), "storage needs exactly one of size, claimName, configMap, secret and emptyDir"),
    (stored(size="1Gi", emptyDir={}), "storage needs exactly one of size, claimName, configMap, secret and emptyDir"),
    (stored(emptyDir={}, onDelete="Retain"), "storageClassName and onDelete belong to storage with a size"),
    (stored(claimName="c", storageClassName="s"), "storageClassName and onDelete belong to storage with a size"),
    (stored(secret={"name": "s"}, accessModes=["ReadWriteMany"]), "accessModes belong to storage with a size or a claimName"),
    (stored(size="much"), "spec.servers[0].storage[0].size"),
    (stored(mountPath="/tmp", emptyDir={}), "storage.mountPath must not be /tmp, nor in /mcp-bridge"),
    (stored(mountPath="/proc/1", emptyDir={}), "storage.mountPath must not be /tmp, nor in /mcp-bridge"),
    (stored(mountPath="/mcp-bridge", emptyDir={}), "storage.mountPath must not be /tmp, nor in /mcp-bridge"),
    (stored(mountPath="data", emptyDir={}), "spec.servers[0].storage[0].mountPath"),
    (stored(mountPath="/a/../b", emptyDir={}), "spec.servers[0].storage[0].mountPath"),
    (stored(mountPath="/", emptyDir={}), "spec.servers[0].storage[0].mountPath"),
    (stored(hostPath={"path": "/"}), "hostPath"),
    (
        gateway("demo", server("a", storage=[{"mountPath": "/d", "emptyDir": {}}, {"mountPath": "/d", "claimName": "c"}])),
        'duplicate entries for key [mountPath="/d"]',
    ),
    (
        gateway("demo", server("a", replicas=2, storage=[{"mountPath": "/d", "size": "1Gi"}])),
        "storage that only one pod can mount allows no replicas or autoscaling",
    ),
    (
        gateway(
            "demo", server("a", isolation="Shared", storage=[{"mountPath": "/d", "size": "1Gi"}]), mode="Sidecar", replicas=2
        ),
        "in Sidecar mode, storage that only one pod can mount allows no replicas or autoscaling",
    ),
    (
        gateway("demo", server("a", stateless=True), server("b", isolation="Principal"), mode="Sidecar", replicas=2),
        "in Sidecar mode, each pod has its own processes, so replicas or autoscaling would give one session several: set mode: "
        "MultiPod, or isolation: Shared or stateless: true for each server that keeps nothing between calls",
    ),
    (gateway(mode="Sidecar", autoscaling={"maxReplicas": 2}), "in Sidecar mode, each pod has its own processes"),
    (gateway("demo", server("a", replicas=2), mode="Sidecar"), "servers[].replicas and autoscaling need mode: MultiPod"),
    (gateway("demo", server("a", replicas=2, autoscaling={"maxReplicas": 3})), "remove replicas, or autoscaling"),
    (gateway("demo", server("a", autoscaling={})), "spec.servers[0].autoscaling.maxReplicas"),
    (gateway("demo", remote(storage=[{"mountPath": "/d", "emptyDir": {}}])), "storage, replicas, autoscaling, runAsUser"),
    (gateway("demo", remote(runAsUser=5)), "storage, replicas, autoscaling, runAsUser"),
    (gateway("demo", server("a", runAsUser=0)), "spec.servers[0].runAsUser"),
    (gateway("demo", server("a", egress={"allow": [{"cidr": "10.0.0.0"}]})), "cidr must be a range of addresses"),
    (
        gateway("demo", server("a", egress={"allow": [{"cidr": "10.0.0.0/8", "ports": [0]}]})),
        "spec.servers[0].egress.allow[0].ports[0]",
    ),
    (
        gateway("demo", server("a", egress={"allow": [{"cidr": "10.0.0.0/8", "podSelector": {}}]})),
        "a peer needs either cidr, or namespaceSelector and podSelector, one or both",
    ),
    (gateway("demo", server("a", egress={"allow": [{"ports": [5432]}]})), "a peer needs either cidr, or namespaceSelector"),
    (gateway(autoscaling={"minReplicas": 4, "maxReplicas": 3}), "autoscaling.minReplicas must not be more than"),
    (gateway(autoscaling={"maxReplicas": 3, "callsInFlight": 0}), "spec.autoscaling.callsInFlight"),
    (gateway(podDisruptionBudget={"maxUnavailable": 0}), "spec.podDisruptionBudget.maxUnavailable"),
    (gateway(service={"nodePort": 30000}), "service.nodePort needs service.type: NodePort or LoadBalancer"),
    (gateway(service={"loadBalancerClass": "x"}), "loadBalancerSourceRanges need service.type: LoadBalancer"),
    (gateway(service={"type": "LoadBalancer", "loadBalancerSourceRanges": ["x"]}), "cidr must be a range of addresses"),
    (gateway(ingress={"host": "Example.com"}), "spec.ingress.host"),
    (gateway(ingress={"host": "10.0.0.1"}), "ingress.host must be a host name, not an address"),
    (gateway(ingress={"host": "a.example", "path": "mcp"}), "spec.ingress.path"),
    (gateway(ingress={"host": "a.example", "path": "/a//b"}), "spec.ingress.path"),
    (gateway(httpRoute={"parentRefs": [{"name": "g"}], "path": "/a b"}), "spec.httpRoute.path"),
    (gateway(trustedProxies=["10.0.0.0"]), "cidr must be a range of addresses"),
    (gateway(httpRoute={"parentRefs": []}), "spec.httpRoute.parentRefs"),
    (gateway(httpRoute={"parentRefs": [{"name": "gw"}], "hostnames": ["*.example.com"]}), "spec.httpRoute.hostnames[0]"),
    (peer(), "a peer needs either cidr, or namespaceSelector and podSelector"),
    (peer(cidr="10.0.0.0/8", podSelector={}), "a peer needs either cidr, or namespaceSelector and podSelector"),
    (gateway(sessions={"ttl": "a day"}), "spec.sessions.ttl"),
    (gateway(sessions={"idleTimeout": "soon"}), "spec.sessions.idleTimeout in body should match"),
    (gateway(limits={"callTimeout": 60}), "spec.limits.callTimeout"),
    (gateway(limits={"maxSessions": 0}), "spec.limits.maxSessions in body should be greater than or equal to 1"),
    (gateway(limits={"requestBytes": "big"}), "spec.limits.requestBytes"),
]
