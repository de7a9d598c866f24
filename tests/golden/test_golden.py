"""Rendered manifests, byte for byte: the review surface of every change of a template. `make golden` rewrites them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from mcpgateway_operator.api.validation import check, parse_spec
from mcpgateway_operator.cli.manifests import to_yaml
from mcpgateway_operator.render.context import Context, Platform
from mcpgateway_operator.render.render import render

CASES = sorted(path.parent for path in Path(__file__).parent.glob("*/in.yaml"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_rendering(case: Path) -> None:
    resource = yaml.safe_load((case / "in.yaml").read_text())
    context = Context(
        name=resource["metadata"]["name"],
        namespace="golden",
        uid="4f0c1d2e-0000-4000-8000-000000000000",
        image="ghcr.io/mcpgateway/gateway:0.1.0",
        addresses={"time": ("198.18.0.9:4444",)},
        operator_namespace="mcpgateway-system",
        platform=Platform(cidrs=("203.0.112.0/20", "fd00::/8")),
    )
    check(parse_spec(resource["spec"]))
    rendered = to_yaml(list(render(parse_spec(resource["spec"]), context).objects))
    golden = case / "out.yaml"
    if os.environ.get("REFRESH_GOLDEN"):
        golden.write_text(rendered)
    assert rendered == golden.read_text(), "run `make golden` and review the difference"
