"""The operator's own process, told that it is in a pod: `python -m tests.support.in_cluster FLAGS`.

What a kubelet gives a pod is the address in two variables, and the folder of SERVICE_ACCOUNT in the place of the mounted one.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from kubernetes.aio.config import incluster_config

from mcpgateway_operator.__main__ import main
from tests.support.controlplane import ControlPlane


def environment(plane: ControlPlane, folder: Path, token: str) -> dict[str, str]:
    """The variables for an account with this token."""
    (folder / "token").write_text(token)
    (folder / "ca.crt").write_bytes((plane.folder / "pki" / "apiserver.crt").read_bytes())
    return {
        "KUBERNETES_SERVICE_HOST": "127.0.0.1",
        "KUBERNETES_SERVICE_PORT": str(plane.addresses.api),
        "SERVICE_ACCOUNT": str(folder),
    }


if __name__ == "__main__":
    mounted = Path(os.environ["SERVICE_ACCOUNT"])
    incluster_config.SERVICE_TOKEN_FILENAME = str(mounted / "token")
    incluster_config.SERVICE_CERT_FILENAME = str(mounted / "ca.crt")
    sys.exit(main())
