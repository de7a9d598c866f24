"""Whatever a server sends, over a bridge or as a remote, in either era: it harms itself alone, and every call is answered."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from mcpgateway import config as gateway_config
from tests.conftest import Scale
from tests.support.bridges import until

from . import messages
from .messages import Era, Spoilt
from .world import BRIDGES, World

REMOTES: tuple[Era, ...] = ("legacy", "modern") * 20
SETTLED = 60.0  # seconds until a server that has answered, if oddly, has a state


def times(count: int) -> settings:
    """So many examples, the same ones in every run."""
    return settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


def _openings(eras: tuple[Era, ...]) -> st.SearchStrategy[tuple[Spoilt, ...]]:
    return st.tuples(*(messages.spoilt(messages.handshake(era)) for era in eras))


def test_a_spoilt_handshake_or_list_is_the_failure_of_its_server_alone(world: World, scale: Scale) -> None:
    """Each example has as many servers as there are places, each with one message spoilt."""

    @times(scale(4, 150))
    @given(bridged=_openings(BRIDGES), remote=_openings(REMOTES))
    def run(bridged: tuple[Spoilt, ...], remote: tuple[Spoilt, ...]) -> None:
        servers: dict[str, Spoilt] = {}
        configured: list[gateway_config.Server] = []
        for place, opening in enumerate(bridged):
            world.script(f"b{place}", {opening.method: [opening.line]})
            configured.append(world.behind_bridge(place))
            servers[configured[-1].name] = opening
        for place, opening in enumerate(remote):
            world.script(f"r{place}", {opening.method: [opening.line]})
            configured.append(world.remote(REMOTES[place], place))
            servers[configured[-1].name] = opening
        world.configure(*configured)
        answering = [name for name, opening in servers.items() if opening.answers]

        def undecided() -> dict[str, Spoilt]:
            rows = {row["name"]: row for row in world.gateway.status()["servers"]}
            return {
                name: servers[name]
                for name in answering
                if rows[name]["state"] == "Connecting" and not rows[name].get("lastError")
            }

        try:
            until("every server that answers to have a state", lambda: not undecided(), SETTLED)
        except AssertionError as error:
            raise AssertionError(undecided()) from error
        world.assert_honest_unharmed()

    run()


@pytest.mark.parametrize(("era", "isolation"), [("legacy", "Session"), ("legacy", "Shared"), ("modern", "Shared")])
@pytest.mark.parametrize("transport", ["bridge", "remote"])
def test_a_spoilt_message_during_a_call_harms_that_call_alone(
    world: World, scale: Scale, era: Era, transport: str, isolation: gateway_config.Isolation
) -> None:
    if transport == "bridge":
        place = BRIDGES.index(era)
        script, server = f"b{place}", world.behind_bridge(place, isolation=isolation)
    else:
        script, server = "r0", world.remote(era, 0, isolation=isolation)
    world.script(script, {})
    world.configure(server)
    world.gateway.await_ready(server.name)
    before = st.lists(messages.spoilt(messages.own(era)).map(lambda message: message.line) | messages.junk, max_size=3)

    @times(scale(12, 500))
    @given(first=before, answer=messages.spoilt(messages.replies(era)), caller=st.sampled_from(get_args(Era)))
    def run(first: list[bytes], answer: Spoilt, caller: Era) -> None:
        world.script(script, {answer.method: [*first, answer.line]})
        params = dict(messages.REQUESTS[answer.method])
        if answer.method.startswith(("tools", "prompts")):
            params["name"] = f"{server.name}_{params['name']}"
        if answer.method.startswith("completion"):
            params["ref"] = {**params["ref"], "name": f"{server.name}_p"}
        said = world.client.ask(answer.method, params, caller)
        assert ("result" in said) != ("error" in said), said
        world.script(script, {})

        def well() -> bool:
            again = world.client.ask("tools/call", {"name": f"{server.name}_t", "arguments": {}}, caller)
            return bool(again.get("result", {}).get("structuredContent") == {"x": 1.5})

        until("the server to be of use again", well, SETTLED)
        world.assert_honest_unharmed()

    run()
