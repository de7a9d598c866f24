"""The children and pods that the watches have reported, as small values. Pure: events in, values out.

kopf's own indices make each object of the first list wait for all others, and each one that is done wakes all that wait: with a
thousand gateways that took seven minutes and 350 MiB (docs/decisions/0008).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

from .child_state import Key, Owned, Pod

V = TypeVar("V", Owned, Pod)


class OwnedStore(Generic[V]):
    """The values of some objects, by the gateway that they belong to."""

    def __init__(self) -> None:
        self._by_key: dict[Key, dict[str, V]] = {}
        self._keys: dict[str, Key] = {}  # by uid

    def put(self, key: Key, value: V) -> None:
        """Store the current value of an object, which may have changed its gateway."""
        if self._keys.get(value.uid, key) != key:
            self.drop(value.uid)
        self._keys[value.uid] = key
        self._by_key.setdefault(key, {})[value.uid] = value

    def drop(self, uid: str) -> Key | None:
        """Remove a deleted object. Returns: the gateway that it belonged to."""
        key = self._keys.pop(uid, None)
        if key is not None:
            values = self._by_key[key]
            del values[uid]
            if not values:
                del self._by_key[key]
        return key

    def of(self, key: Key) -> list[V]:
        """The values of one gateway."""
        return list(self._by_key.get(key, {}).values())


class Index:
    """Implements `reconcile.ports.Index` and `resync.Cache`."""

    def __init__(self) -> None:
        self._children: OwnedStore[Owned] = OwnedStore()
        self._pods: OwnedStore[Pod] = OwnedStore()
        self._uids: dict[str, set[str]] = {}  # by kind, also of objects that belong to no gateway

    def children(self, key: Key) -> Iterable[Owned]:
        return self._children.of(key)

    def pods(self, key: Key) -> Iterable[Pod]:
        return self._pods.of(key)

    def put_child(self, key: Key, child: Owned) -> None:
        """Store the current value of a child."""
        self._children.put(key, child)

    def put_pod(self, key: Key, pod: Pod) -> None:
        """Store the current value of a pod."""
        self._pods.put(key, pod)

    def add(self, kind: str, uid: str) -> None:
        """An object exists, whether or not it belongs to a gateway."""
        self._uids.setdefault(kind, set()).add(uid)

    def uids(self, kind: str) -> set[str]:
        return set(self._uids.get(kind, ()))

    def drop(self, kind: str, uid: str) -> Key | None:
        self._uids.get(kind, set()).discard(uid)
        return self._children.drop(uid) or self._pods.drop(uid)
