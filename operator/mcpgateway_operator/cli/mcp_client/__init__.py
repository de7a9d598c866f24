"""What the commands do as an MCP client: the only package that imports the official SDK, which takes a second to import."""
