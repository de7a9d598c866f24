"""Attacks by configuration: bytes that are no configuration, and entries that cannot work."""

from __future__ import annotations

import random
from typing import Any

from mcpgateway import config as gateway_config
from tests.hostile.world import World
from tests.support.bridges import until
from tests.support.gateways import configuration

from .registry import attack


def _refused(world: World, raw: bytes) -> str:
    """How the gateway takes these bytes in place of its configuration, and that the old one can be restored."""
    world.gateway.status()
    fresh = world.folder / "config.new"
    fresh.write_bytes(raw)
    fresh.replace(world.folder / "config.json")
    until("the file to be refused", lambda: world.gateway.status().get("configError"))
    world.configure()
    until("the error to be gone", lambda: not world.gateway.status().get("configError"), 20)
    return "refused, the last good one stays"


@attack("N1", "a configuration that is not UTF-8", expects="^refused")
def binary_configuration(world: World) -> str:
    return _refused(world, bytes(range(256)))


@attack("N1", "configurations of random bytes, and a good one with one byte changed", expects="^refused")
def random_configuration(world: World) -> str:
    generator = random.Random(15)
    good = gateway_config.encode(configuration(*world.honest, folder=world.folder)).encode()
    servers = good.index(b'"servers":[')  # an invalid entry of a server would be that server's failure alone
    place = generator.choice([*range(servers), *range(good.rindex(b"}]") + 2, len(good))])
    _refused(world, generator.randbytes(1_000))
    return _refused(world, good[:place] + b"\xff" + good[place + 1 :])


@attack("N1", "a configuration nested 100,000 deep", expects="^refused")
def deep_configuration(world: World) -> str:
    return _refused(world, b'{"gateway":' + b"[" * 100_000)


def _entry(world: World, url: str) -> str:
    """How a server with this URL stands; whether the file was taken at all is part of the answer."""
    config = configuration(*world.honest, gateway_config.Server(name="odd-url", url=url), folder=world.folder)
    world.gateway.configure(config)
    wanted = gateway_config.digest(gateway_config.encode(config))

    def decided() -> str:
        status = world.gateway.status()
        if status.get("configError"):
            return "refused, the last good one stays"
        row: dict[str, Any] = next((row for row in status["servers"] if row["name"] == "odd-url"), {})
        reason = row.get("lastError", {}).get("reason", "")
        return f"{row['state']} {reason}" if status["config"] == wanted and reason else ""

    answer = str(until("a decision", decided, 45))
    world.configure()
    return answer


@attack("N1", "a server at port 80443", expects="^(refused|Failed)")
def port_out_of_range(world: World) -> str:
    return _entry(world, "http://tools.example.com:80443/mcp")


@attack("U5", "a server whose host has a label of 64 characters", expects="^(refused|Failed)")
def long_label(world: World) -> str:
    return _entry(world, f"http://{'a' * 64}.example.com/mcp")


@attack("N1", "a server at a URL that is none", expects="^(refused|Failed)")
def no_url(world: World) -> str:
    return _entry(world, "http://[::1/mcp")
