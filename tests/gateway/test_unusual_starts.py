"""Real programs that an ordinary start does not suit: on the Rust SDK, slow, never answering; and one that answers too much."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.conftest import server
from tests.support import cargo, pypi
from tests.support.bridges import bridge
from tests.support.gateways import Gateway, configuration, gateway
from tests.support.servers import odd

WEB = """
import http.server, sys
server = http.server.HTTPServer(("127.0.0.1", 0), None)
open(sys.argv[1], "w").write(str(server.server_port))
server.serve_forever()
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
        bridge(bridge_program, tmp_path, sys.executable, "-c", WEB, str(tmp_path / "port")) as web,
        bridge(
            bridge_program, tmp_path, sys.executable, "-c", "import sys, time; sys.stderr.write('fetching…\\n'); time.sleep(600)"
        ) as silent,
    ):
        servers = (server("web", web, start_timeout=400.0), server("silent", silent, start_timeout=400.0))
        with gateway(tmp_path, configuration(*servers, folder=tmp_path)) as running:
            port = (tmp_path / "port").read_text
            running.await_status("both to be described", lambda status: "port" in str(status) and "stderr" in str(status))
            found = {name: row["lastError"] for name, row in rows(running).items()}
            assert all(error["reason"] == "Connecting" for error in found.values())
            assert all("startTimeout is 400 s; it " in error["message"] for error in found.values())
            assert f"listens on TCP port {port()}, so it may serve HTTP: select its stdio" in found["web"]["message"]
            assert "it has written nothing to stdout, and at last 'fetching…' to stderr" in found["silent"]["message"]
            assert all(row.get("restarts", 0) == 0 for row in rows(running).values())


def test_servers_of_both_eras_that_start_slowly_are_what_they_are_when_quick(bridge_program: Path, tmp_path: Path) -> None:
    """So slowly that `initialize` is asked as well; the Python SDK's server speaks both eras."""
    slowly = ("sh", "-c", 'sleep 12; exec "$@"', "sh")
    both = str(pypi.program("servers", "mcp-server-time"))
    with (
        bridge(bridge_program, tmp_path, *slowly, both) as modern,
        bridge(bridge_program, tmp_path, *slowly, str(cargo.rmcp_server())) as legacy,
    ):
        servers = (server("time", modern), server("rust", legacy))
        with gateway(tmp_path, configuration(*servers, folder=tmp_path)) as running:
            running.await_ready()
            found = {name: (row["era"], row["isolation"], row.get("restarts", 0)) for name, row in rows(running).items()}
            assert found == {"time": ("modern", "Shared", 0), "rust": ("legacy", "Session", 0)}
            assert "Europe/Zurich" in running.text("time_get_current_time", timezone="Europe/Zurich")


@pytest.mark.parametrize("isolation", ["Shared", "Session"])
def test_an_answer_that_is_too_large_names_the_limit(bridge_program: Path, tmp_path: Path, isolation: str) -> None:
    command = (sys.executable, odd.__file__, "large-call", str(17 << 20))
    with (
        bridge(bridge_program, tmp_path, *command) as large,
        gateway(tmp_path, configuration(server("s", large, isolation=isolation), folder=tmp_path)) as running,
    ):
        running.await_ready()
        assert "over 16 MiB, which is the most that a message may have" in running.call("s_echo", text="x")["error"]["message"]
