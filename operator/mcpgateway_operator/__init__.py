"""The control plane: turns each MCPGateway into a running MCP gateway, and keeps its status true."""

__version__ = "0.1.0"
