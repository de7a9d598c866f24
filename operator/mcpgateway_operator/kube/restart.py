"""How a part of the operator asks the composition root to stop everything and to start again with a new event loop."""

from __future__ import annotations


class RestartRequired(Exception):
    """The cached state of the cluster is no longer valid. The message says why."""
