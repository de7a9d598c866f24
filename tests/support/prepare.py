"""What takes minutes and is cached: before the tests, whose time limits are for tests.

python -m tests.support.prepare
"""

from __future__ import annotations

import sys

from tests.servers import installed

from . import cargo, cluster, images, java, npm, operators, pypi, tools
from .controlplane import PROGRAMS


def prepare() -> None:
    """Build what the api and e2e levels need on this machine. Raises: CannotRunError."""
    npm.modules()
    cargo.rmcp_server()
    java.client()
    installed.prepare()
    for name in pypi.USED:
        pypi.python(name)
    for name in ("helm", "helm3", "kube-score", "glua"):
        tools.module(name)
    for source, _ in (operators.GATEWAY_API, operators.SERVICE_MONITOR, operators.PROMETHEUS_RULE):
        tools.sources(source)
    for name in PROGRAMS:
        tools.component(name)
    if cluster.existing() is None:
        tools.debian_packages()
        tools.module("coredns")
        tools.module("contour")
        tools.module("metrics-server")
        images.build()
    tools.debian_packages(tools.COMPILERS)


if __name__ == "__main__":
    try:
        prepare()
    except tools.CannotRunError as error:
        sys.stderr.write(f"not everything can run here: {error}\n")
