"""The attacks of docs/hostile.md: each one bounded in count and time, against loopback alone."""

from __future__ import annotations

from . import clients, files, network, servers  # noqa: F401 - each puts its attacks into the registry
from .registry import ATTACKS, Attack

__all__ = ["ATTACKS", "Attack"]

ATTACKS.sort(key=lambda attack: ("EbUN".index(attack.kind[0]), len(attack.kind), attack.kind))
