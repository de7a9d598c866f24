"""Wrong credentials: how many a peer address has sent lately, and how long the next refusal waits because of them.

A right credential is never delayed, so that clients behind one proxy do not pay for each other.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

FREE: Final = 20  # refusals of one address that are answered at once
_FORGET: Final = 1.0  # seconds in which one of them is forgotten
_MAX_ADDRESSES: Final = 10_000  # then the one that has been quiet for longest is forgotten


class FailedLogins:
    """Counts by address; a count decays by one a second."""

    def __init__(self, *, delay: float) -> None:
        self._delay = delay  # seconds that each further refusal waits
        self._counts: OrderedDict[str, tuple[float, float]] = OrderedDict()  # the count, and when it was that (seconds)

    def record(self, address: str, now: float) -> float:
        """Count a refusal. `now` in seconds of any clock. Returns: seconds to wait with the response to it."""
        count, since = self._counts.pop(address, (0.0, now))
        count = max(0.0, count - (now - since) / _FORGET) + 1
        self._counts[address] = min(count, FREE + 1.0), now
        if len(self._counts) > _MAX_ADDRESSES:
            self._counts.popitem(last=False)
        return self._delay if count > FREE else 0.0
