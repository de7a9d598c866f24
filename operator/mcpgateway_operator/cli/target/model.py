"""What every target offers, so that a command need not know where the gateway runs."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

GATEWAY_LOG = "gateway"  # no server has this name
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


@dataclass(frozen=True)
class Reference:
    """A key of a Secret or ConfigMap that the resource needs and that does not exist; an empty key is the whole object."""

    kind: Literal["Secret", "ConfigMap"]
    name: str
    key: str


@dataclass(frozen=True)
class LogSource:
    """The log of one pod or process, as it arrives."""

    name: str
    chunks: AsyncGenerator[bytes]


class Target(Protocol):
    """One gateway. Every method raises BadInputError or NotReachedError."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def title(self) -> str:
        """Its name and where it runs, for people."""

    @property
    def place(self) -> Mapping[str, str]:
        """What commands for it begin with: `kubectl` and its namespace, flags of `mcpgw`; the `file` of a local run."""

    async def absent(self, references: Sequence[Reference]) -> list[Reference]:
        """Those that do not exist, as far as the user may look."""

    async def resource(self) -> Resource:
        """The MCPGateway with its status. A local run has the status of its gateway and the condition Ready alone."""

    def watch(self) -> AsyncGenerator[Resource]:
        """The MCPGateway, at once and at each change."""

    async def token(self) -> str | None:
        """The first token of `spec.auth.tokens`; None if clients need none."""

    async def secret_value(self, *, name: str, key: str) -> str:
        """A token of `spec.auth.tokens`, by its Secret and key."""

    async def log_sources(self, component: str, *, follow: bool, tail: int, previous: bool) -> list[LogSource]:
        """The last `tail` lines of a server or of GATEWAY_LOG, one log a pod; `previous`: from before their last restart."""

    def client_url(self, *, patience: float = 0.0) -> AbstractAsyncContextManager[str]:
        """The URL of the MCP endpoint, as this process can reach it; connections wait `patience` seconds for the gateway."""

    def internal_urls(self) -> AbstractAsyncContextManager[list[str]]:
        """The base URLs of the internal ports of all gateway pods, as this process can reach them."""
