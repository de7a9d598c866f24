"""Whether `Ready` tells the truth: in random fault states, beside what a client in the cluster sees at the same time.

A seeded sample in `make test`, all states in `make soak`. What a condition may lag behind the world is ten seconds (issue 6).
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.api.conftest import Space
from tests.conftest import Scale
from tests.e2e.conftest import TOKEN, Client
from tests.e2e.test_product import EVERYTHING, TIME, kill_time_server, resource, url

SEED = 20261124
MODES = ("MultiPod", "Sidecar", "MultiPod", "Sidecar")
TOOLS: dict[str, tuple[str, dict[str, Any]]] = {
    "time": ("time_get_current_time", {"timezone": "UTC"}),
    "everything": ("everything_echo", {"message": "here"}),
}
MODERN = "2026-07-28"
LAG = 10.0  # seconds that the condition may be behind
PATIENCE = 2.0  # seconds that a client waits for an answer
HEALING = 240.0  # seconds; a kubelet may need two minutes to see a Secret, or to pull again


@dataclass
class Judge:
    """How long each kind of lie has lasted, at most, between looks that saw nothing else."""

    since: dict[str, float] = field(default_factory=dict)
    longest: dict[str, tuple[float, str]] = field(default_factory=dict)

    def see(self, state: str, *, answers: bool, claims: bool, attainable: bool) -> None:
        """One look. `attainable`: nothing that the spec asks for is impossible, so that answers are all there is to `Ready`."""
        lies = {"False": not claims and answers and attainable, "True": claims and not answers}
        for reported, lies_now in lies.items():
            if not lies_now:
                self.since.pop(reported, None)
                continue
            lasted = time.monotonic() - self.since.setdefault(reported, time.monotonic())
            self.longest[reported] = max(self.longest.get(reported, (0.0, "")), (lasted, state))


@dataclass
class Scene:
    """One gateway that is hurt and heals, again and again."""

    space: Space
    client: Client
    name: str
    mode: str
    judge: Judge = field(default_factory=Judge)
    attainable: bool = True

    def apply(self, *servers: dict[str, Any], **spec: Any) -> None:
        self.space.apply(resource(self.name, *(servers or (TIME, EVERYTHING)), mode=self.mode, **spec))

    def delete_pod(self, component: str) -> None:
        selector = f"app.kubernetes.io/instance={self.name},app.kubernetes.io/component={component}"
        self.space.delete("pods", "-l", selector, "--grace-period=0", "--force")

    def answers(self) -> bool:
        """Whether every server answers a call."""
        return all(self._answers(tool, arguments) for tool, arguments in TOOLS.values())

    def _answers(self, tool: str, arguments: dict[str, Any]) -> bool:
        meta = {"io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {}}
        params = {"name": tool, "arguments": arguments, "_meta": meta}
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        more = {"MCP-Protocol-Version": MODERN, "Mcp-Method": "tools/call", "Mcp-Name": tool}
        reported = self.client.do("post", url=url(self.space, self.name), token=TOKEN, body=body, more=more, patience=PATIENCE)
        return reported.get("status") == 200 and "result" in json.loads(reported["body"])

    def claims(self) -> bool:
        """Whether the resource says that it is ready, as it is now."""
        observed = self.space.get("mcpgateway", self.name)
        reported: list[dict[str, Any]] = observed.get("status", {}).get("conditions", [])
        ready = next((each for each in reported if each["type"] == "Ready"), {})
        return (ready.get("status"), ready.get("observedGeneration")) == ("True", observed["metadata"]["generation"])

    def watch(self, state: str, seconds: float, *, until_well: bool = False) -> bool:
        """Look, for so long or until all is well."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            answers, claims = self.answers(), self.claims()
            self.judge.see(state, answers=answers, claims=claims, attainable=self.attainable)
            if until_well and answers and claims:
                return True
        return not until_well


Fault = Callable[[Scene], Callable[[], None]]


def _nothing() -> None:
    """It heals by itself."""


def killed(scene: Scene) -> Callable[[], None]:
    kill_time_server(scene.space, scene.mode, scene.name)
    return _nothing


def hung(scene: Scene) -> Callable[[], None]:
    kill_time_server(scene.space, scene.mode, scene.name, "SIGSTOP")
    return lambda: kill_time_server(scene.space, scene.mode, scene.name, "SIGCONT")


def gateway_gone(scene: Scene) -> Callable[[], None]:
    scene.delete_pod("gateway")
    return _nothing


def servers_gone(scene: Scene) -> Callable[[], None]:
    scene.delete_pod("server")  # nothing in Sidecar mode
    return _nothing


def _edited(scene: Scene, *servers: dict[str, Any], **spec: Any) -> Callable[[], None]:
    """The resource asks for what cannot be, until it does not."""
    scene.attainable = False
    scene.apply(*servers, **spec)

    def heal() -> None:
        scene.apply()
        scene.attainable = True

    return heal


def image_missing(scene: Scene) -> Callable[[], None]:
    return _edited(scene, TIME | {"image": "localhost/no-such-image:1"}, EVERYTHING)


def command_missing(scene: Scene) -> Callable[[], None]:
    return _edited(scene, TIME | {"command": ["no-such-program"]}, EVERYTHING)


def secret_missing(scene: Scene) -> Callable[[], None]:
    wanted = {"name": "K", "valueFrom": {"secretKeyRef": {"name": "never", "key": "k"}}}
    return _edited(scene, TIME | {"env": [wanted]}, EVERYTHING)


def scaled_to_zero(scene: Scene) -> Callable[[], None]:
    return _edited(scene, replicas=0)


FAULTS: tuple[Fault, ...] = (
    killed,
    hung,
    gateway_gone,
    servers_gone,
    image_missing,
    command_missing,
    secret_missing,
    scaled_to_zero,
)


def play(scene: Scene, seed: int, rounds: int) -> None:
    """Hurt it so many times."""
    chosen = random.Random(seed)
    scene.apply()
    assert scene.watch("new", HEALING, until_well=True), f"{scene.name} does not become ready"
    for number in range(rounds):
        fault = chosen.choice(FAULTS)
        state = f"{scene.name} (seed {seed}, round {number}): {fault.__name__}"
        heal = fault(scene)
        scene.watch(state, chosen.uniform(1, 1.5 * LAG))
        heal()
        assert scene.watch(f"{state}, healing", HEALING, until_well=True), f"{state} does not heal"


@pytest.mark.timeout(30_000)
def test_ready_is_true_when_and_only_when_tools_answer(space: Space, new_client: Any, scale: Scale) -> None:
    rounds = scale(16, 1000) // len(MODES)
    scenes = [Scene(space, new_client(), f"truth-{number}", mode) for number, mode in enumerate(MODES)]
    with ThreadPoolExecutor(len(scenes)) as pool:
        played = [pool.submit(play, scene, SEED + number, rounds) for number, scene in enumerate(scenes)]
        for each in played:
            each.result()
    lies = [(reported, *observed) for scene in scenes for reported, observed in scene.judge.longest.items()]
    print("longest lies, in seconds:", sorted(lies, key=lambda lie: -lie[1]))
    assert [lie for lie in lies if lie[1] > LAG] == []
    for scene in scenes:
        space.delete("mcpgateway", scene.name)
