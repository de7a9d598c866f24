"""What the e2e level says of a given cluster that lacks something."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import yaml

from tests.support import given_cluster, images
from tests.support.controlplane import ControlPlane
from tests.support.locks import free_port
from tests.support.tools import CannotRunError


def test_each_thing_that_a_given_cluster_lacks_is_a_sentence(plane: ControlPlane) -> None:
    with pytest.raises(CannotRunError) as caught:
        given_cluster.check(plane.kubectl)
    first, *sentences = str(caught.value).splitlines()
    assert first == "the cluster of USE_EXISTING_CLUSTER lacks something:"
    assert len(sentences) == len(images.ALL) + 2
    for image in images.ALL:
        target = "test-images" if image.name.startswith("test-") else "images"
        assert f"image {image.reference} is on no node: `make {target}`, then load build/{target}/*.tar" in sentences
    assert "metrics-server does not serve the nodes' usage: autoscaling needs it" in sentences
    assert "Contour with Gateway API is not in the namespace projectcontour" in sentences


def test_a_given_cluster_that_is_not_up_is_named_by_its_kubeconfig(plane: ControlPlane, tmp_path: Path) -> None:
    config = yaml.safe_load(plane.kubectl.kubeconfig.read_text())
    config["clusters"][0]["cluster"] = {"server": f"http://127.0.0.1:{free_port()}"}
    kubeconfig = tmp_path / "config"
    kubeconfig.write_text(yaml.safe_dump(config))
    with pytest.raises(CannotRunError, match=f"the one of {kubeconfig} does not answer"):
        given_cluster.check(dataclasses.replace(plane.kubectl, kubeconfig=kubeconfig))
