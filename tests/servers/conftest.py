"""Which servers a run takes: a third by the run's seed, or all of them with `--every-server` (`make servers`)."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.paths import BUILD

from .corpus import CORPUS, PublicServer

RESULTS = BUILD / "servers.jsonl"
PART = 19  # servers behind one gateway, about a third of all
ALWAYS = "test_the_server_behind_the_gateway_is_the_same"
EXPERIMENTS = (
    "test_the_official_client_sees_the_same",
    "test_a_later_session_gets_what_the_first_one_gets",
    "test_a_killed_server_comes_back",
)


def seed(config: pytest.Config) -> int:
    """The run's seed: `make test` prints it, and `--randomly-seed` repeats it."""
    return int(config.getoption("randomly_seed", default=0))


def is_whole(config: pytest.Config) -> bool:
    """Whether everything is tried with every server."""
    return bool(config.getoption("--every-server"))


def chosen(config: pytest.Config) -> list[PublicServer]:
    """The servers of this run, in the corpus's order."""
    if is_whole(config):
        return list(CORPUS)
    drawn = random.Random(seed(config)).sample(CORPUS, len(CORPUS) // 3)
    return sorted(drawn, key=CORPUS.index)


def parts(config: pytest.Config) -> list[list[PublicServer]]:
    """The servers of this run by the gateway that they are behind."""
    servers = chosen(config)
    return [servers[start : start + PART] for start in range(0, len(servers), PART)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test a server; with a third of them, one experiment each."""
    if "public" not in metafunc.fixturenames:
        return
    draw = random.Random(seed(metafunc.config))
    drawn = {public.name: draw.choice(EXPERIMENTS) for public in CORPUS}
    pairs = [
        pytest.param(part, public, id=public.name)
        for part in parts(metafunc.config)
        for public in part
        if is_whole(metafunc.config) or metafunc.function.__name__ in (ALWAYS, drawn[public.name])
    ]
    metafunc.parametrize(("world", "public"), pairs, indirect=["world"], scope="module")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What is marked `every_server` belongs to `make servers` alone."""
    if not is_whole(config):
        items[:] = [item for item in items if not item.get_closest_marker("every_server")]


@pytest.fixture
def draw(request: pytest.FixtureRequest) -> random.Random:
    """Choices of one test, by the run's seed and its name."""
    return random.Random(f"{seed(request.config)} {request.node.name}")


@contextlib.contextmanager
def tried(experiment: str, *servers: str) -> Iterator[dict[str, Any]]:
    """Keep for docs/servers.md how an experiment with these servers ends, and what is put into the dictionary meanwhile."""
    found: dict[str, Any] = {}
    passed = False
    try:
        yield found
        passed = True
    finally:
        BUILD.mkdir(exist_ok=True)
        with RESULTS.open("a") as file:
            for server in servers:
                file.write(json.dumps({"experiment": experiment, "server": server, "passed": passed, **found}) + "\n")
