"""What every target offers, so that a command need not know where the gateway runs."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

Resource = dict[str, Any]  # an MCPGateway as the API server returns it


@dataclass(frozen=True)
class Choice:
    """Which gateway the user means; None is not said."""

    gateway: str | None = None
    namespace: str | None = None
    context: str | None = None
    kubeconfig: Path | None = None
    local: bool = False

    @property
    def of_cluster(self) -> bool:
        """Whether only a cluster can be meant."""
        return any((self.namespace, self.context, self.kubeconfig))


class Target(Protocol):
    """One gateway. Every method raises BadInputError or NotReachedError."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def title(self) -> str:
        """Its name and where it runs, for people."""

    async def resource(self) -> Resource:
        """The MCPGateway with its status. A local run has the status of its gateway and the condition Ready alone."""

    def watch(self) -> AsyncGenerator[Resource]:
        """The MCPGateway, at once and at each change."""

    async def token(self) -> str | None:
        """The first token of `spec.auth.tokens`; None if clients need none."""

    def client_url(self) -> AbstractAsyncContextManager[str]:
        """The URL of the MCP endpoint, as this process can reach it."""

    def internal_urls(self) -> AbstractAsyncContextManager[list[str]]:
        """The base URLs of the internal ports of all gateway pods, as this process can reach them."""
