"""A cluster for the e2e suite: a given one (USE_EXISTING_CLUSTER), or one node on this machine.

python -m tests.support.cluster up | down | kubeconfig
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from . import images, tools
from .kubectl import Kubectl, eventually
from .node import GATEWAY, Node
from .paths import CLUSTER, ROOT
from .progress import Step

SYSTEM = "mcpgateway-system"
CHART = ROOT / "charts" / "mcpgateway-operator"


@dataclass(frozen=True)
class Cluster:
    """Where to test."""

    kubectl: Kubectl
    node: Node | None  # ours, or None for a given cluster

    def load(self, archives: list[Path]) -> None:
        """Bring images to the nodes; a given cluster has them already (kind load)."""
        if self.node is not None:
            with Step("loading the images into the node"):
                for archive in archives:
                    self.node.load(archive)

    def install_operator(self, *values: str, release: str = "mcpgateway", namespace: str = SYSTEM) -> None:
        """The chart, by a real Helm, into a namespace that enforces Pod Security `restricted`."""
        make_namespace(self.kubectl, namespace)
        helm = [str(tools.module("helm")), "upgrade", "--install", release, str(CHART), "--namespace", namespace]
        helm += ["--reset-values"]  # else Helm keeps the values of the release before where none are given
        own = [f"dns.peers={{{GATEWAY}/32}}"] if self.node is not None else []  # CoreDNS runs on the node, not in a pod
        helm += ["--wait", "--timeout", "180s", *[f"--set={value}" for value in (*own, *values)]]
        environment = {**os.environ, "KUBECONFIG": str(self.kubectl.kubeconfig)}
        done = subprocess.run(helm, env=environment, text=True, capture_output=True, check=False)
        if done.returncode != 0:
            logs = self.kubectl("-n", namespace, "logs", "-l", f"app.kubernetes.io/instance={release}", check=False)
            pods = self.kubectl("-n", namespace, "get", "pods,events", check=False)
            raise RuntimeError(f"helm: {done.stderr}\n{pods}\n{logs}")


def make_namespace(kubectl: Kubectl, name: str) -> None:
    """A namespace that enforces Pod Security `restricted`."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/enforce-version": "latest"}
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    eventually("the default service account", lambda: kubectl.find("serviceaccount", "default", "-n", name))


def existing() -> Cluster | None:
    """The cluster of USE_EXISTING_CLUSTER, by the usual kubeconfig."""
    if os.environ.get("USE_EXISTING_CLUSTER", "").lower() not in ("1", "true", "yes"):
        return None
    kubeconfig = Path(os.environ.get("KUBECONFIG") or Path.home() / ".kube" / "config")
    return Cluster(Kubectl("kubectl", kubeconfig), None)


def running() -> Cluster | None:
    """Our own node, if `make cluster-up` has left one."""
    if not (CLUSTER / "kubeconfig").exists():
        return None
    node = Node(CLUSTER)
    return Cluster(node.plane.kubectl, node) if node.plane.ready() and node.ready() else None


def up() -> Cluster:
    """Our own node, started unless it runs. Raises: CannotRunError."""
    current = running()
    if current is not None:
        return current
    tools.debian_packages()
    tools.module("coredns")
    node = Node(CLUSTER)
    node.stop()  # what an earlier run may have left half started
    try:
        with Step("starting a one-node cluster"):
            node.start()
    except BaseException:
        node.stop()
        raise
    return Cluster(node.plane.kubectl, node)


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A cluster for as long as the tests run; one that was there before stays."""
    current = existing() or running()
    if current is not None:
        yield current
        return
    ours = up()
    try:
        yield ours
    finally:
        assert ours.node is not None
        with Step("stopping the one-node cluster"):
            ours.node.stop()


def main(command: str) -> None:
    """The command line of `make cluster-up` and `make cluster-down`."""
    if command == "up":
        ours = up()
        ours.load(images.build())
        print(f"export KUBECONFIG={ours.kubectl.kubeconfig}")
    elif command == "down":
        Node(CLUSTER).stop()
    else:
        raise SystemExit("want up or down")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:2])
    except tools.CannotRunError as error:
        raise SystemExit(f"test-cluster: {error}") from None
