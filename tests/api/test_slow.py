"""An API server that takes its time."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tests.api.conftest import Space
from tests.support import operators
from tests.support.apiproxy import ApiProxy
from tests.support.kubectl import eventually
from tests.support.resources import gateway

_SLOW = 2.0  # seconds a call
_LEASE = "--own-namespace=mcpgateway-system"


def settled(space: Space, name: str) -> bool:
    """Whether the operator has written all objects, and said so."""
    return space.find("deployment", name) is not None and space.condition(name, "Programmed").get("reason") == "Progressing"


def test_two_seconds_a_call_slow_it_down_and_do_no_more(space: Space, proxy: ApiProxy, through: Path, tmp_path: Path) -> None:
    proxy.delay = _SLOW
    with operators.operator(through, tmp_path, _LEASE) as log:
        eventually("it to be ready", partial(operators.ready, log))
        space.apply(gateway())
        eventually("all objects", partial(settled, space, "demo"))
        told = log.read_text()
        assert "lease not renewed" not in told
        assert "restarting" not in told
        assert told.count("lease acquired") == 1
        assert operators.readiness(log) == (200, "ok\n")
