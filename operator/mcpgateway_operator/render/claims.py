"""The PersistentVolumeClaims of the servers. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ..api.packages import PackageCache
from ..api.storage import Storage, access_modes
from . import naming
from .context import Gateway
from .packages import FOLDER
from .templating import Meta, View, manifest, server_meta


@dataclass(frozen=True, slots=True)
class ClaimView(View):
    """One claim."""

    template: ClassVar[str] = "claim"
    access_modes: Sequence[str]
    storage_class: str | None
    size: int | str


def claims(gateway: Gateway) -> Iterator[dict[str, Any]]:
    """One claim for each storage with a size, and for each cache of a package."""
    for server in gateway.hosted:
        for storage in server.storage:
            if storage.size is not None:
                name = naming.claim(gateway.name, server.name, storage.mount_path)
                meta = server_meta(gateway, server.name, name, owned=storage.on_delete != "Retain")
                yield manifest(_view(meta, storage, storage.size))
        cache = server.package.cache if server.package is not None else None
        if cache is not None:
            meta = server_meta(gateway, server.name, naming.claim(gateway.name, server.name, FOLDER))
            yield manifest(_view(meta, cache, cache.size))


def _view(meta: Meta, wanted: Storage | PackageCache, size: int | str) -> ClaimView:
    return ClaimView(meta, access_modes(wanted.access_modes), wanted.storage_class_name, size)
