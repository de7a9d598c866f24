"""docs/platforms.md: its lists are those of the code, and its samples are valid."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from mcpgateway_operator import __main__ as command
from mcpgateway_operator.api import annotations as allowed
from mcpgateway_operator.api.validation import check, parse_spec
from mcpgateway_operator.render.context import Context
from mcpgateway_operator.render.render import render
from tests.support.paths import ROOT
from tests.support.resources import gateway

PAGE = ROOT / "docs" / "platforms.md"
LISTS = {"Ingress": allowed.INGRESS, "Service": allowed.SERVICE, "pods": allowed.PODS}


def listed() -> str:
    """The section with the lists, as the code has them."""
    rows = [f"| {kind} | {', '.join(f'`{pattern}`' for pattern in patterns)} |" for kind, patterns in LISTS.items()]
    return "\n".join(["| of | allowed |", "|---|---|", *rows])


def test_the_lists_of_annotations_are_those_of_the_code() -> None:
    section = re.search("<!-- annotations -->\n(.*?)\n<!-- end -->", PAGE.read_text(), re.DOTALL)
    assert section is not None
    assert section[1] == listed()


def samples() -> Iterator[dict[str, Any]]:
    for block in re.findall("```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL):
        sample = yaml.safe_load(block)
        if "allowedAnnotations" not in sample:
            yield sample


@pytest.mark.parametrize("sample", samples(), ids=lambda sample: "+".join(sample))
def test_every_sample_is_valid(sample: dict[str, Any]) -> None:
    spec = parse_spec(gateway(**sample)["spec"])
    check(spec)
    assert not list(allowed.annotation_errors(spec, allowed.FurtherAnnotations()))
    assert render(spec, Context(name="demo", namespace="n", uid="0123456789", image="i")).objects


@pytest.mark.parametrize("flag", ["--allow-annotation=pods", "--allow-annotation=route:x", "--allow-annotation=pods:"])
def test_a_wrong_pattern_is_refused_by_name(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.parse(["--gateway-image=i", flag])
    value = flag.partition("=")[2]
    assert (
        f"'{value}' is not KIND:PATTERN, for example pods:example.com/*; kinds: ingress, service, pods" in capsys.readouterr().err
    )


@pytest.mark.parametrize(("flags", "user"), [((), 65532), (("--run-as=Assigned",), None)])
def test_who_pods_run_as_is_the_operators_setting(flags: tuple[str, ...], user: int | None) -> None:
    platform = command.parse(["--gateway-image=i", *flags]).reconciler.platform
    context = Context(name="demo", namespace="n", uid="0123456789", image="i", platform=platform)
    objects = render(parse_spec(gateway()["spec"]), context).objects
    pods = [o["spec"]["template"]["spec"]["securityContext"] for o in objects if o["kind"] == "Deployment"]
    assert [pod.get("runAsUser") for pod in pods] == [user, user]
