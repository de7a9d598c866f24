"""Real programs that an ordinary start does not suit: one on the Rust SDK, and programs that never answer."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from tests.gateway.conftest import server
from tests.support import cargo
from tests.support.bridges import bridge
from tests.support.gateways import Gateway, configuration, gateway

WEB = """
import http.server
print("Serving HTTP on 127.0.0.1", flush=True)
http.server.HTTPServer(("127.0.0.1", 0), None).serve_forever()
"""


def rows(running: Gateway) -> dict[str, Any]:
    return {row["name"]: row for row in running.status()["servers"]}


def test_a_server_on_the_rust_sdk_is_ready_and_answers(bridge_program: Path, tmp_path: Path) -> None:
    """It ends on `server/discover` as its first message."""
    with (
        bridge(bridge_program, tmp_path, str(cargo.rmcp_server())) as rust,
        gateway(tmp_path, configuration(server("rust", rust), folder=tmp_path)) as running,
    ):
        running.await_ready()
        assert running.text("rust_echo", text="grüße") == "grüße"
        row = running.server("rust")
        assert (row["era"], row.get("restarts", 0), row.get("lastError")) == ("legacy", 0, None)


def test_a_program_that_never_answers_is_named_within_seconds(bridge_program: Path, tmp_path: Path) -> None:
    with (
        bridge(bridge_program, tmp_path, sys.executable, "-c", WEB) as web,
        bridge(bridge_program, tmp_path, sys.executable, "-c", "import time; time.sleep(600)") as silent,
    ):
        servers = (server("web", web, start_timeout=400.0), server("silent", silent, start_timeout=400.0))
        with gateway(tmp_path, configuration(*servers, folder=tmp_path)) as running:
            running.await_status("both to be described", lambda status: all(row.get("lastError") for row in status["servers"]))
            found = {name: row["lastError"] for name, row in rows(running).items()}
            assert all(error["reason"] == "Connecting" for error in found.values())
            assert all("startTimeout is 400 s" in error["message"] for error in found.values())
            assert "it has written 'Serving HTTP on 127.0.0.1'" in found["web"]["message"]
            assert "it has written nothing to stdout" in found["silent"]["message"]
            assert all(row.get("restarts", 0) == 0 for row in rows(running).values())
