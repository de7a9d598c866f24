"""The PersistentVolumeClaims of the servers. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from . import naming
from .context import Gateway
from .packages import FOLDER
from .templating import View, manifest, server_meta


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
                modes = storage.access_modes or ("ReadWriteOnce",)
                yield manifest(ClaimView(meta, modes, storage.storage_class_name, storage.size))
        cache = server.package.cache if server.package is not None else None
        if cache is not None:
            meta = server_meta(gateway, server.name, naming.claim(gateway.name, server.name, FOLDER))
            modes = cache.access_modes or ("ReadWriteOnce",)
            yield manifest(ClaimView(meta, modes, cache.storage_class_name, cache.size))
