"""Names that something else has. Nothing is taken over, and no message advises to delete what is not this gateway's. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from ..api.group import KIND
from ..observe.child_state import Key, Owned
from ..observe.places import Claimant
from ..render import naming
from .finding import BlockedError
from .plan import ObjectId, identity
from .ports import Index, Places
from .reasons import Reason

_AIDS: Final = ("PodDisruptionBudget", "HorizontalPodAutoscaler", "ServiceMonitor")  # a gateway answers without them


class ConflictError(BlockedError):
    """A needed name is another's. `needed`: whether tools can answer without it; `rival`: whether an MCPGateway has it."""

    def __init__(self, message: str, *, needed: bool, rival: bool) -> None:
        super().__init__(Reason.CONFLICT, message)
        self.needed, self.rival = needed, rival


def lost(
    key: Key, created: str, wanted: Iterable[Mapping[str, Any]], existing: Mapping[ObjectId, Owned], places: Places, index: Index
) -> dict[str, str]:
    """The places that another gateway has, and its name: it has objects there and this one has not, or it is older."""
    manifests = list(wanted)
    held = {naming.place(manifest) for manifest in manifests if identity(manifest) in existing}
    own, out = Claimant(created, key[1]), {}
    for place in sorted({naming.place(manifest) for manifest in manifests} - held):
        for rival in places.rivals(key, place):
            there = any(child.name == place for child in index.children((key[0], rival.name)))
            if there or rival.older(own):
                out[place] = rival.name
                break
    return out


def taken(gateway: str, place: str, rival: str) -> ConflictError:
    """A place is another gateway's."""
    message = f"the name {place} is used by {KIND} {rival}, whose objects are left as they are: {_fix(gateway, place)}"
    return ConflictError(message, needed=place != naming.peers(gateway), rival=True)


def occupied(manifest: Mapping[str, Any], owner: Mapping[str, Any] | None) -> ConflictError:
    """An object of that name exists, with this controller or none."""
    kind, name = identity(manifest)
    gateway, place = manifest["metadata"]["labels"][naming.INSTANCE], naming.place(manifest)
    if owner is not None and owner.get("kind") == KIND:
        return taken(gateway, place, owner["name"])
    whose = f"is controlled by {owner['kind']} {owner['name']}" if owner is not None else "was not created for this MCPGateway"
    message = f"{kind} {name} exists and {whose}, so it is left as it is: {_fix(gateway, place)}"
    return ConflictError(message, needed=kind not in _AIDS and name != naming.peers(gateway), rival=False)


def _fix(gateway: str, place: str) -> str:
    if place in (gateway, naming.peers(gateway)):
        return "create this MCPGateway under another name"
    return f"give server {place.removeprefix(gateway + '-')} of this MCPGateway another name"
