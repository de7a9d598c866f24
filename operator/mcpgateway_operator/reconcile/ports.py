"""What a reconcile needs of the world, as Protocols. The composition root plugs in `kube` and `observe`; nothing here does I/O.

Source of the verbs: Kubernetes API concepts, "Server-Side Apply". Every method of `Cluster` raises ApiError.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Protocol

from ..observe.child_state import Key, Owned, Pod
from ..observe.places import Claimant
from ..render.naming import MANAGER

Clock = Callable[[], datetime]  # aware, UTC


class Cluster(Protocol):
    """The API server."""

    async def get(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        """An object, or None."""

    async def find(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        """An object, or None; by a list, which needs no permission beyond those of a watch."""

    async def apply(self, manifest: Mapping[str, Any], *, uid: str | None) -> dict[str, Any]:
        """Server-side apply. With `uid`: forced, only to the object of that uid. Without: to create it; if an object of that
        name has appeared meanwhile, its fields are not taken over. Returns: the object."""

    async def keep_replicas(self, name: str, namespace: str, uid: str, replicas: int) -> None:
        """Own the number of a Deployment's replicas by a second field manager, so that an apply without it does not reset it."""

    async def patch(self, kind: str, namespace: str, name: str, operations: list[dict[str, Any]]) -> None:
        """JSON patch (RFC 6902)."""

    async def apply_status(
        self, metadata: Mapping[str, Any], status: Mapping[str, Any], *, manager: str = MANAGER, exclusive: bool = False
    ) -> None:
        """Forced server-side apply of the status subresource of the gateway with this metadata. `exclusive`: only if it has not
        changed since; otherwise ApiError with status 409."""

    async def create(self, manifest: Mapping[str, Any]) -> dict[str, Any] | None:
        """Create. Returns: the object, or None if the name is taken."""

    async def exists(self, kind: str, namespace: str, name: str) -> bool:
        """Whether an object exists that may be created, but not read: by creating it without effect (dry run)."""

    async def delete(self, kind: str, namespace: str, name: str, uid: str) -> None:
        """Delete the object of that uid; its absence is no error."""

    async def annotate(self, kind: str, namespace: str, name: str, annotations: Mapping[str, str]) -> None:
        """Set annotations by merge patch (RFC 7396); the object's absence is no error."""


class Index(Protocol):
    """The children and pods that the watches have reported."""

    def children(self, key: Key) -> Iterable[Owned]:
        """The objects controlled by a gateway of that name."""

    def pods(self, key: Key) -> Iterable[Pod]:
        """The pods of a gateway and its servers."""


class Places(Protocol):
    """Which gateways want which names."""

    def rivals(self, key: Key, place: str) -> list[Claimant]:
        """The other gateways that want a place of this one, the oldest first."""

    def drop(self, key: Key) -> None:
        """A gateway is deleted."""


class Operators(Protocol):
    """Other operators, by their identity."""

    def gone(self, key: Key, operator: str) -> bool:
        """Whether the operator that manages a gateway has not been seen for so long that another one takes over."""

    def release(self, key: Key) -> None:
        """The gateway is not managed elsewhere any more."""


class Reports(Protocol):
    """The gateways' own `/status`."""

    def follow(self, key: Key, pods: list[Pod]) -> None:
        """Poll exactly these pods of a gateway."""

    def reports(self, key: Key) -> Mapping[str, Mapping[str, Any]]:
        """The latest report by pod uid; a pod that does not answer has none."""

    def pending(self, key: Key) -> bool:
        """Whether the first answer of a pod is still outstanding."""
