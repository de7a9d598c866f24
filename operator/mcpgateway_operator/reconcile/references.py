"""Secrets and ConfigMaps that a gateway or a server misses: as soon as one exists, the kubelets are to mount it. Pure.

A kubelet looks at mounted objects once in 60 to 90 seconds, but at once when the pod object changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ..api.spec import Spec
from ..render import mounts
from .reasons import Reason

Reference = tuple[str, str]  # kind and name

_KINDS: Final = {"secrets": "Secret", "configmaps": "ConfigMap"}
_SOON, _SOON_TIMES, _LATER = 5.0, 60, 30.0  # seconds between looks, and how many there are in quick succession
_REPEATS = 3  # a kubelet may hear of the object later than of the pod


@dataclass(slots=True)
class Mounting:
    """Which of the missing objects existed when the pods were changed, and how often they were changed for that."""

    existing: frozenset[Reference] = frozenset()
    times: int = 0

    @property
    def again(self) -> float:
        """Seconds until the next look for what is missing."""
        return _SOON if self.times < _SOON_TIMES else _LATER

    def due(self, existing: frozenset[Reference]) -> bool:
        """Whether the pods are to be changed: something exists that no kubelet has mounted yet."""
        if existing != self.existing:
            self.existing, self.times = existing, 0
        self.times += 1
        return bool(existing) and self.times <= _REPEATS


def missing(spec: Spec, reports: Iterable[Mapping[str, Any]]) -> set[Reference]:
    """The objects of references that gateway pods report as missing."""
    wanted: set[Reference] = set()
    for report in reports:
        wanted |= {("Secret", token.partition("/")[0]) for token in report.get("missingTokens", ())}
        rows = {row["name"]: row.get("lastError") or {} for row in report.get("servers", ())}
        for server in spec.enabled:
            if rows.get(server.name, {}).get("reason") == Reason.MISSING_REFERENCE:
                stored = (mounts.stored(storage) for storage in server.storage)
                folders = [reference for reference in stored if reference is not None]
                remote = mounts.remote_references(spec.remotes, [server])
                wanted |= {(_KINDS[kind], name) for kind, name in (*mounts.references(server), *remote, *folders)}
    return wanted
