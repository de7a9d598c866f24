"""What a cluster of USE_EXISTING_CLUSTER must have for the e2e level, checked before its first test.

`.github/workflows/ci.yaml` installs all of it on kind; CONTRIBUTING.md lists it.
"""

from __future__ import annotations

import json
from typing import Any

from . import images, ingress, usage
from .kubectl import Kubectl
from .tools import CannotRunError

_LISTED = 50  # images, of which a node reports no more (the kubelet's nodeStatusMaxImages)


def check(kubectl: Kubectl) -> None:
    """Raises: CannotRunError, with a sentence for each thing that is missing."""
    if kubectl("get", "--raw", "/readyz", check=False).strip() != "ok":
        raise CannotRunError(f"USE_EXISTING_CLUSTER needs a cluster that is up: the one of {kubectl.kubeconfig} does not answer")
    missing = [
        *(_absent(image) for image in _absent_images(kubectl)),
        *([] if usage.served(kubectl) else ["metrics-server does not serve the nodes' usage: autoscaling needs it"]),
        *([] if _has_contour(kubectl) else ["Contour with Gateway API is not in the namespace projectcontour"]),
    ]
    if missing:
        raise CannotRunError("the cluster of USE_EXISTING_CLUSTER lacks something:\n" + "\n".join(missing))


def _absent(image: images.Image) -> str:
    target = "images" if image in images.FOR_USERS else "test-images"
    return f"image {image.reference} is on no node: `make {target}`, then load build/{target}/*.tar"


def _absent_images(kubectl: Kubectl) -> list[images.Image]:
    """Our images that no node reports. A node with more images than it reports may have them all."""
    nodes: list[dict[str, Any]] = json.loads(kubectl("get", "nodes", "-o", "json"))["items"]
    reported = [node["status"].get("images", []) for node in nodes]
    if any(len(listed) >= _LISTED for listed in reported):
        return []
    names = {name for listed in reported for image in listed for name in image.get("names") or ()}
    return [image for image in images.ALL if image.reference not in names]


def _has_contour(kubectl: Kubectl) -> bool:
    deployed = kubectl("-n", ingress.PARENT["namespace"], "get", "deployments", "-o", "name", check=False)
    served = kubectl("get", "--raw", "/apis/gateway.networking.k8s.io/v1", check=False)
    return "deployment.apps/contour" in deployed and '"httproutes"' in served
