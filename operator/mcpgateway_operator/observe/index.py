"""The children and pods that the watches have seen, as small values. Pure: events in, values out.

kopf has indices of its own, but each object that it lists then waits for all others, and each that is done wakes all that wait:
a thousand gateways took seven minutes and 350 MiB that way (docs/decisions/0008).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

from .child_state import Key, Owned, Pod

V = TypeVar("V", Owned, Pod)


class Shelf(Generic[V]):
    """The values of some objects, by the gateway that they belong to."""

    def __init__(self) -> None:
        self._by_key: dict[Key, dict[str, V]] = {}
        self._keys: dict[str, Key] = {}  # by uid

    def put(self, key: Key, value: V) -> None:
        """What an object is now. It may have gone over to another gateway."""
        if self._keys.get(value.uid, key) != key:
            self.drop(value.uid)
        self._keys[value.uid] = key
        self._by_key.setdefault(key, {})[value.uid] = value

    def drop(self, uid: str) -> Key | None:
        """An object that is gone. Returns: whose it was."""
        key = self._keys.pop(uid, None)
        if key is not None:
            values = self._by_key[key]
            del values[uid]
            if not values:
                del self._by_key[key]
        return key

    def of(self, key: Key) -> list[V]:
        """All of one gateway."""
        return list(self._by_key.get(key, {}).values())


class Index:
    """`reconcile.Index` and `resync.Known`."""

    def __init__(self) -> None:
        self._children: Shelf[Owned] = Shelf()
        self._pods: Shelf[Pod] = Shelf()
        self._seen: dict[str, set[str]] = {}  # uids by kind, also of objects that belong to no gateway

    def children(self, key: Key) -> Iterable[Owned]:
        return self._children.of(key)

    def pods(self, key: Key) -> Iterable[Pod]:
        return self._pods.of(key)

    def put_child(self, key: Key, child: Owned) -> None:
        """A child as it is now."""
        self._children.put(key, child)

    def put_pod(self, key: Key, pod: Pod) -> None:
        """A pod as it is now."""
        self._pods.put(key, pod)

    def seen(self, kind: str, uid: str) -> None:
        """An object is there, whosever it is."""
        self._seen.setdefault(kind, set()).add(uid)

    def known(self, kind: str) -> set[str]:
        return set(self._seen.get(kind, ()))

    def drop(self, kind: str, uid: str) -> Key | None:
        self._seen.get(kind, set()).discard(uid)
        return self._children.drop(uid) or self._pods.drop(uid)
