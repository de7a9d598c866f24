"""The data plane: one MCP endpoint in front of many MCP servers, each behind a bridge."""

__version__ = "0.1.0"
