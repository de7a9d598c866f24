"""One gateway that a command is about: a resource of a cluster, or a run of `mcpgw up` on this machine."""
