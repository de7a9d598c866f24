"""A failure is a value: many callers get it, and it stays as it was."""

from __future__ import annotations

import dataclasses

import pytest

from mcpgateway.protocol.errors import Exit, Failure, Reason, UpstreamError, exited


def test_failure_is_immutable_and_compares_by_value() -> None:
    failure = Failure("s", Reason.TIMEOUT, "no answer")
    assert failure == Failure("s", Reason.TIMEOUT, "no answer")
    assert not isinstance(failure, BaseException)
    with pytest.raises(dataclasses.FrozenInstanceError):
        failure.message = "another"  # type: ignore[misc]


def test_raising_for_many_callers_leaves_no_traceback_behind() -> None:
    failure = Failure("s", Reason.UNREACHABLE, "gone")
    depths = []
    for _ in range(50):
        with pytest.raises(UpstreamError) as caught:
            raise UpstreamError(failure)
        depths.append(len(caught.traceback))
    assert set(depths) == {depths[0]}


def test_exit_is_named_in_words_and_in_data() -> None:
    failure = exited("s", Exit(code=137, signal="SIGKILL", oom=True, stderr=("a", "last words")))
    assert str(failure) == "server 's': Exited: its process ended, killed by SIGKILL (out of memory): last words"
    assert failure.data() == {"server": "s", "reason": "Exited", "exitCode": 137, "signal": "SIGKILL"}
