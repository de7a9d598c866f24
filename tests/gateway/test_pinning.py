"""`toolPinning: Enforce`: only tools that somebody has approved are offered, in exactly these words."""

from __future__ import annotations

from pathlib import Path

from msgspec import structs

from mcpgateway import config as gateway_config
from tests.gateway.conftest import server
from tests.support.bridges import ECHO, bridge, until
from tests.support.gateways import Gateway, configuration, gateway


def names(running: Gateway) -> set[str]:
    return {tool["name"] for tool in running.modern("tools/list").json()["result"]["tools"]}


def test_tools_are_offered_only_as_they_were_approved(bridge_program: Path, tmp_path: Path) -> None:
    with bridge(bridge_program, tmp_path, *ECHO, "legacy") as behind:
        wanted = server("echo", behind, isolation="Shared")

        def config(pin: str | None) -> gateway_config.Config:
            return configuration(structs.replace(wanted, pin=pin), folder=tmp_path)

        with gateway(tmp_path, config("")) as running:
            found = running.await_status("the server to be asked", lambda status: status["servers"][0]["state"] == "Pending")
            row = found["servers"][0]
            assert (row.get("tools", 0), row["lastError"]["reason"]) == (0, "ToolsPending")
            assert row["digest"] in row["lastError"]["message"]
            assert names(running) == set()
            assert running.call("echo_echo", text="x")["error"]["code"] == -32602

            running.configure(config(row["digest"]))
            running.await_ready()
            assert "echo_echo" in names(running)
            assert "approved" in running.text("echo_echo", text="approved")

            running.text("echo_echo", toggle=True)  # it lists one tool more from here on
            until("all to be withdrawn", lambda: names(running) == set())
            assert running.server("echo")["state"] == "Pending"
            changed = running.server("echo")["digest"]
            assert changed != row["digest"]

            running.configure(config(changed))
            running.await_ready()
            assert "echo_more" in names(running)
            running.configure(config(None))
            running.await_ready()
