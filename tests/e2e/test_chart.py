"""`helm test` on a real node: a gateway of its own, and a real call of its tool."""

from __future__ import annotations

import os
import subprocess

from tests.support import tools
from tests.support.cluster import SYSTEM, Cluster


def test_helm_test_makes_a_real_call_and_leaves_no_gateway(cluster: Cluster) -> None:
    command = [str(tools.module("helm")), "test", "mcpgateway", "-n", SYSTEM, "--logs", "--timeout", "300s"]
    environment = {**os.environ, "KUBECONFIG": str(cluster.kubectl.kubeconfig)}
    done = subprocess.run(command, env=environment, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "'content': [{'type': 'text'" in done.stdout
    assert cluster.kubectl.find("mcpgateway", "helm-test-mcpgateway", "-n", SYSTEM) is None
