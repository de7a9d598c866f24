"""From a client's configuration to a tool: `mcpgw import`, then `mcpgw up`, with real packages."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.support.local_runs import up
from tests.support.locks import free_port
from tests.support.waiting import PATIENCE

CONFIGURATION = """{
  // as people write it
  "mcpServers": {
    "Time": {"command": "uvx", "args": ["mcp-server-time==2026.10.19", "--local-timezone=UTC"]},
    "everything": {
      "command": "npx",
      "args": ["-y", "@modelcontextprotocol/server-everything@2026.8.31"],
      "env": {"API_KEY": "PLACEHOLDER"},
    },
  }
}"""


def test_a_clients_configuration_becomes_a_running_gateway(tmp_path: Path) -> None:
    source, file = tmp_path / ".mcp.json", tmp_path / "gateway.yaml"
    source.write_text(CONFIGURATION)
    command = [str(Path(sys.executable).parent / "mcpgw"), "import", str(source), f"--file={file}", "--output=json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["servers"] == 2
    calls = ('--call=everything_echo={"message":"hi"}', '--call=time_get_current_time={"timezone":"UTC"}')
    variable = {"MCPGW_SECRET_IMPORTED_SECRETS_EVERYTHING_API_KEY": "k3y"}
    with up(str(file), f"--port={free_port()}", *calls, state=tmp_path / "state", **variable) as running:
        echo, time = (call["result"] for call in running.connected()["calls"])
        assert echo == "Echo: hi"
        assert json.loads(time)["timezone"] == "UTC"
        assert running.interrupt() == 0
