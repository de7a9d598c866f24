"""A memory limit that has no room for all processes which a server may have."""

from __future__ import annotations

from dataclasses import replace

from mcpgateway.catalog.model import Offer
from mcpgateway.edge.internal import memory_short
from mcpgateway.protocol.errors import Reason
from mcpgateway.upstream.bridge.connection import Control, refused
from mcpgateway.upstream.handshake import Profile
from mcpgateway.upstream.snapshot import Discovered, Snapshot

READY = Snapshot().ready(Discovered(Profile("legacy", "2025-11-25", frozenset()), "Session", Offer()))


def test_it_says_what_to_change() -> None:
    seen = READY.running(3, 512 << 20, 60 << 20)
    assert memory_short(seen, 16) == (
        "its memory limit, 512Mi, has room for about 7 processes of 60Mi, and maxProcesses is 16: "
        "raise resources.limits.memory to 1067Mi, or lower maxProcesses to 7"
    )
    assert memory_short(READY.running(3, 1067 << 20, 60 << 20), 16) == ""
    assert memory_short(seen, None) == ""  # as many as there is room for


def test_nothing_is_said_where_nothing_is_known_or_one_process_serves_all() -> None:
    assert memory_short(READY.running(3, 0, 0), 16) == ""
    assert memory_short(READY.running(3, 512 << 20, 0), 16) == ""
    assert READY.discovered is not None
    shared = replace(READY, discovered=replace(READY.discovered, isolation="Shared"))
    assert memory_short(shared.running(3, 512 << 20, 60 << 20), 16) == ""


def test_a_bridges_refusal_for_memory_has_its_own_reason() -> None:
    assert refused("s", Control(error="capacity", reason="Memory", message="no memory")).reason == Reason.MEMORY_SHORT
    assert refused("s", Control(error="capacity", reason="StartRate", message="too fast")).reason == Reason.OVERLOADED
