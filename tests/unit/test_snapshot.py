"""What a server's snapshot says of why it cannot be used: the last cause stays visible while the next start is waited for."""

from __future__ import annotations

from mcpgateway.protocol.errors import Failure, Reason
from mcpgateway.upstream.snapshot import Snapshot

ENDED = Failure("s", Reason.EXITED, "its process ended, exit code 3: no API key")


def test_a_first_start_says_for_what_it_waits() -> None:
    assert Snapshot().absence("s") == Failure("s", Reason.CONNECTING, "it has not answered yet")
    waiting = Snapshot().starting("no answer yet to initialize after 3 s")
    assert waiting.absence("s") == Failure("s", Reason.CONNECTING, "no answer yet to initialize after 3 s")


def test_a_further_start_keeps_the_cause_of_the_last_failure() -> None:
    failed = Snapshot().lost(ENDED)
    assert failed.absence("s") == ENDED
    waiting = failed.starting("no answer yet to initialize after 3 s").absence("s")
    assert waiting.reason == Reason.EXITED
    assert waiting.message == f"{ENDED.message}; now it starts again: no answer yet to initialize after 3 s"
    assert failed.starting("no answer yet").lost(ENDED).absence("s") == ENDED
