# mypy: ignore-errors
# (it runs in an environment of its own: tests/python/fastmcp.txt)
"""fastmcp's proxy in front of a stdio server: PORT COMMAND."""

import sys

from fastmcp.mcp_config import MCPConfig
from fastmcp.server import create_proxy

servers = {"mcpServers": {"s": {"command": sys.argv[2], "args": []}}}
create_proxy(MCPConfig.from_dict(servers)).run(
    transport="http", host="127.0.0.1", port=int(sys.argv[1]), path="/mcp", show_banner=False, log_level="ERROR"
)
