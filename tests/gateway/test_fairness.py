"""What one peer may take of the gateway, and where what nothing expected ends."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from mcpgateway.protocol.exchange import Exchange
from mcpgateway.protocol.jsonrpc import ProtocolError
from mcpgateway.requests import call_limits, multi_round_trip, startup_gate
from mcpgateway.requests.call_limits import CallLimits, TooManyCallsError
from mcpgateway.requests.multi_round_trip import MultiRoundTrip
from mcpgateway.requests.responder import Responder
from mcpgateway.requests.startup_gate import StartupGate
from mcpgateway.runtime.boundaries import Boundaries
from mcpgateway.runtime.deadlines import Deadlines
from mcpgateway.runtime.metrics import Metrics
from mcpgateway.streams import questions, session_streams
from mcpgateway.streams.questions import OpenQuestions
from mcpgateway.streams.replay import Replay
from mcpgateway.streams.session_streams import SessionStreams
from mcpgateway.upstream.active_call import Question
from tests.gateway.test_session_end import Posted
from tests.support.waiting import PATIENCE


class TestCallLimits:
    @given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xy"), st.booleans()), max_size=60))
    def test_no_principal_and_no_server_has_more_calls_than_it_may(self, steps: list[tuple[str, str, bool]]) -> None:
        refused: list[str] = []
        limits = CallLimits(principal=3, server=4, on_refused=refused.append)
        held: list[tuple[str, str]] = []
        for principal, server, enters in steps:
            if not enters and (principal, server) in held:
                limits.leave(principal, server)
                held.remove((principal, server))
            elif enters:
                mine = sum(of == principal for of, _ in held)
                its = sum(to == server for _, to in held)
                try:
                    limits.enter(principal, server)
                except TooManyCallsError as error:
                    assert (mine, error.scope) == (3, "principal") or (its, error.scope) == (4, "server")  # noqa: PT017
                    assert refused.pop() == error.scope  # noqa: PT017 - either outcome is right
                else:
                    assert mine < 3
                    assert its < 4
                    held.append((principal, server))

    @given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["enter", "leave", "wait", "go on"])), max_size=60))
    def test_calls_that_wait_for_a_client_count_apart(self, steps: list[tuple[str, str]]) -> None:
        limits = CallLimits(principal=3, server=4, waiting=2)
        running, waiting = {"a": 0, "b": 0}, {"a": 0, "b": 0}
        for principal, step in steps:
            if step == "enter" and running[principal] < 3 and sum(running.values()) < 4:
                limits.enter(principal, "s")
                running[principal] += 1
            elif step == "enter":
                with pytest.raises(TooManyCallsError, match="calls in flight"):
                    limits.enter(principal, "s")
            elif step == "leave" and running[principal]:
                limits.leave(principal, "s")
                running[principal] -= 1
            elif step == "wait" and running[principal] and waiting[principal] < 2:
                limits.begin_wait(principal, "s")
                running[principal] -= 1
                waiting[principal] += 1
            elif step == "wait" and running[principal]:
                with pytest.raises(TooManyCallsError, match="has 2 calls that wait for an answer of its clients") as refused:
                    limits.begin_wait(principal, "s")
                assert refused.value.data() == {"reason": "TooManyCalls", "scope": "waiting", "limit": 2}
            elif step == "go on" and waiting[principal]:
                limits.end_wait(principal, "s")
                waiting[principal] -= 1
                running[principal] += 1

    def test_a_principal_cannot_fill_a_server_alone(self) -> None:
        assert call_limits.MAX_PRINCIPAL < call_limits.MAX_SERVER
        limits = CallLimits()
        for _ in range(call_limits.MAX_PRINCIPAL):
            limits.enter("greedy", "server")
        with pytest.raises(TooManyCallsError, match=r"principal 'greedy' has 1000 calls in flight, .* try again later"):
            limits.enter("greedy", "server")
        limits.enter("modest", "server")
        limits.leave("greedy", "server")
        limits.enter("greedy", "server")


def responder(exchange: Exchange, id: bytes = b"1") -> Responder:
    return Responder(exchange, metrics=Metrics(), id=id, era="modern", method="tools/list", label="tools/list")


@pytest.fixture
def reported(caplog: pytest.LogCaptureFixture) -> tuple[list[str], Boundaries]:
    caplog.set_level(logging.CRITICAL)
    boundaries: list[str] = []
    return boundaries, Boundaries(boundaries.append)


def fails() -> None:
    raise ZeroDivisionError("what nothing expected")


@pytest.mark.anyio
async def test_one_clients_odd_request_at_the_start_leaves_the_others_alone(reported: tuple[list[str], Boundaries]) -> None:
    gate = StartupGate(reported[1])
    served: list[int] = []
    posts = [Posted({}, {}) for _ in range(5)]
    attempts: list[Callable[[], None]] = [lambda number=number: served.append(number) for number in range(5)]  # type: ignore[misc]
    attempts[1] = attempts[3] = fails
    for post, attempt in zip(posts, attempts, strict=True):
        gate.hold(responder(post), attempt)
    gate.end()
    assert served == [0, 2, 4]
    assert [json.loads(post.answer)["error"]["message"] for post in posts if post.answer] == [
        "the request could not be served"
    ] * 2
    assert reported[0] == ["held request"] * 2


@pytest.mark.anyio
async def test_so_many_requests_are_held_at_the_start(
    monkeypatch: pytest.MonkeyPatch, reported: tuple[list[str], Boundaries]
) -> None:
    monkeypatch.setattr(startup_gate, "MAX_HELD", 2)
    gate = StartupGate(reported[1])
    posts = [Posted({}, {}) for _ in range(3)]
    for post in posts:
        gate.hold(responder(post), fails)
    assert [bool(post.answer) for post in posts] == [False, False, True]
    assert "the gateway is starting, and 2 requests wait" in json.loads(posts[2].answer)["error"]["message"]


@pytest.mark.anyio
async def test_an_exception_at_one_deadline_leaves_the_others_alone(reported: tuple[list[str], Boundaries]) -> None:
    class Waiting:
        def __init__(self, then: Callable[[], None]) -> None:
            self.expire = then

    deadlines = Deadlines(reported[1])
    expired = [asyncio.Event() for _ in range(3)]
    for event, seconds in zip(expired, (0.0, 0.0, 0.3), strict=True):
        deadlines.add(Waiting(fails), seconds)
        deadlines.add(Waiting(event.set), seconds)
    async with asyncio.timeout(PATIENCE):
        for event in expired:
            await event.wait()
    assert reported[0] == ["deadline"] * 3


class TestOpenQuestions:
    def test_a_session_has_so_many_and_the_oldest_of_all_makes_room(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(questions, "MAX_SESSION", 3)
        monkeypatch.setattr(questions, "MAX_OPEN", 5)
        open_questions = OpenQuestions()
        answers: dict[str, Any] = {}
        for number in range(6):
            key = f"session {number % 2}"
            assert not open_questions.full(key)
            open_questions.add(key, b"%d" % number, partial(answers.setdefault, str(number)))
        assert open_questions.full("session 1")
        assert list(answers) == ["0"]
        open_questions.forget("session 1")
        assert answers.keys() == {"0", "1", "3", "5"}
        assert all(b"the client did not answer" in bytes(envelope.error) for envelope in answers.values())
        assert not open_questions.holds("session 1")
        assert open_questions.holds("session 0")


def test_a_session_has_so_many_get_streams() -> None:
    streams = SessionStreams(Replay())
    opened = [streams.open("a")[0] for _ in range(session_streams.MAX_STREAMS + 1)]
    assert [stream.done for stream in opened] == [True, *[False] * session_streams.MAX_STREAMS]
    assert streams.post("a", b"{}")
    streams.close(opened[-1])
    assert streams.post("a", b"{}")
    assert [stream.number for stream in opened] == [*[0] * (len(opened) - 2), 1, 1]


class RoundTrips:
    """A call of a legacy client, as far as its rounds concern it."""

    key = server = "s"
    capabilities = b"{}"
    modern = False
    level = -1

    def __init__(self) -> None:
        self.sent: list[dict[str, Raw]] = []

    def notify(self, message: bytes) -> bool:
        return True

    def ask(self, question: Question) -> bool:
        return False

    def await_client(self) -> None: ...

    def go_on(self) -> None: ...

    def transmit(self, params: dict[str, Raw]) -> None:
        self.sent.append(params)

    def give_up(self, error: ProtocolError) -> None: ...


def test_a_call_costs_so_many_rounds_and_questions() -> None:
    call = RoundTrips()
    asked: list[str] = []
    rounds = MultiRoundTrip(call, {"name": Raw(b'"t"')}, lambda call, method, params, on_answer: asked.append(method))
    for _ in range(multi_round_trip.MAX_ROUNDS):
        assert rounds.begin(Raw(b'{"resultType":"input_required","requestState":"x"}'))
    assert len(call.sent) == multi_round_trip.MAX_ROUNDS
    with pytest.raises(ProtocolError, match="asked more than 10 times"):
        rounds.begin(Raw(b'{"resultType":"input_required"}'))
    for count in (multi_round_trip.MAX_QUESTIONS, multi_round_trip.MAX_QUESTIONS + 1):
        requests = {str(number): {"method": "roots/list"} for number in range(count)}
        result = Raw(json.dumps({"resultType": "input_required", "inputRequests": requests}).encode())
        rounds = MultiRoundTrip(call, {}, lambda call, method, params, on_answer: asked.append(method))
        if count > multi_round_trip.MAX_QUESTIONS:
            with pytest.raises(ProtocolError, match="asked more than 20 questions at once"):
                rounds.begin(result)
        else:
            assert rounds.begin(result)
    assert len(asked) == multi_round_trip.MAX_QUESTIONS
