"""Which server has given a caller a URI outside of its lists: a later read of the URI is that server's.

URIs are not rewritten (catalog/model.py). Several servers may use the same URIs, so a URI that no server lists is read from
the one that gave it to this caller.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import Final

from ..protocol.given_uris import given_uris

MAX_OF_CALLER: Final = 1000  # URIs remembered for one session or identity; the oldest is forgotten for a further one
MAX_TOTAL: Final = 100_000  # URIs of all callers; those of the caller that was given none for the longest time are forgotten


class GivenResources:
    """The servers of URIs, by the key of the caller that has them."""

    def __init__(self) -> None:
        self._servers: OrderedDict[str, OrderedDict[bytes, str]] = OrderedDict()
        self._total = 0

    def note(self, key: str, server: str, result: bytes) -> None:
        """Remember the URIs in a server's result to a caller."""
        digests = [_digest(uri) for uri in given_uris(result)]
        if not digests:
            return
        given = self._servers.pop(key, None) or OrderedDict()
        self._total -= len(given)
        for digest in digests:
            given.pop(digest, None)
            given[digest] = server
        while len(given) > MAX_OF_CALLER:
            given.popitem(last=False)
        self._servers[key] = given
        self._total += len(given)
        while self._total > MAX_TOTAL:
            self.forget(next(iter(self._servers)))

    def server_of(self, key: str, uri: str) -> str | None:
        """The server that gave a caller a URI last."""
        given = self._servers.get(key)
        return None if given is None else given.get(_digest(uri))

    def forget(self, key: str) -> None:
        """A session is over."""
        self._total -= len(self._servers.pop(key, ()))

    def holds(self, key: str) -> bool:
        """Whether something is kept for a session."""
        return key in self._servers


def _digest(uri: str) -> bytes:
    """A URI may have any length."""
    return hashlib.blake2b(uri.encode("utf-8", "surrogatepass"), digest_size=16).digest()
