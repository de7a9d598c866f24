"""Which server has what a request names."""

from __future__ import annotations

from typing import Final

from msgspec import UNSET, Raw

from ..catalog.model import Item, KindName, Listing
from ..protocol import jsonrpc
from ..protocol.errors import Failure
from ..protocol.jsonrpc import ProtocolError
from ..upstream.backend import Backend
from .caller import Request
from .tasks import EXTENSION, Tasks, require_tasks_extension
from .visible_catalog import VisibleCatalog

_NOUNS: Final = {"tools": "tool", "prompts": "prompt", "resources": "resource", "resourceTemplates": "resource template"}


class AwayError(Exception):
    """The server that has it is away; `failure` says why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure)
        self.failure = failure


class Lookup:
    """Finds what is visible to a caller. Everything here raises ProtocolError for what no server has."""

    def __init__(self, visible: VisibleCatalog, tasks: Tasks) -> None:
        self._visible, self._tasks = visible, tasks

    def named(self, request: Request, kind: KindName) -> Item:
        """The tool or prompt that a request names. Raises: ProtocolError, AwayError."""
        name = request.answer.name
        if not name and jsonrpc.text(request.params.get("name", UNSET)) is None:
            raise ProtocolError(jsonrpc.INVALID_PARAMS, f"params.name must be a string: the {_NOUNS[kind]}'s name")
        return self._item(self._visible.of(request.caller).listings[kind], name)

    def resource(self, request: Request) -> Backend:
        """The server of the URI that a request names. Raises: ProtocolError, AwayError."""
        uri = request.answer.name
        if not uri and jsonrpc.text(request.params.get("uri", UNSET)) is None:
            raise ProtocolError(jsonrpc.INVALID_PARAMS, "params.uri must be a string: the resource's URI")
        backend = self._visible.owner(uri, request.caller)
        if backend is not None:
            return backend
        listing = self._visible.of(request.caller).listings["resources"]
        if uri in listing.away:
            raise self._away(listing, uri)
        code = jsonrpc.INVALID_PARAMS if request.answer.era == "modern" else jsonrpc.RESOURCE_NOT_FOUND
        raise ProtocolError(code, f"unknown resource: {uri[:200]!r}", data={"uri": uri})

    def completion(self, request: Request) -> tuple[Backend, dict[str, Raw]]:
        """The server of the prompt or template that arguments are completed for, and the params as it knows them.

        Raises: ProtocolError, AwayError.
        """
        ref = jsonrpc.members(request.params.get("ref", UNSET))
        type = jsonrpc.text(ref.get("type", UNSET))
        if type not in ("ref/prompt", "ref/resource"):
            raise ProtocolError(jsonrpc.INVALID_PARAMS, "params.ref.type must be ref/prompt or ref/resource")
        kind: KindName = "prompts" if type == "ref/prompt" else "resourceTemplates"
        member = "name" if type == "ref/prompt" else "uri"
        item = self._item(self._visible.of(request.caller).listings[kind], jsonrpc.text(ref.get(member, UNSET)) or "")
        renamed = {**ref, member: Raw(jsonrpc.dump(item.name))}
        return self._visible.backends[item.server], {**request.params, "ref": Raw(jsonrpc.dump(renamed))}

    def task(self, request: Request) -> tuple[Backend, str, str]:
        """The server of a task, the task's id there, and its name here. Raises: ProtocolError."""
        if not any(EXTENSION in backend.extensions for backend in self._visible.backends.values()):
            raise ProtocolError(jsonrpc.METHOD_NOT_FOUND, "no server here has the extension for tasks")
        require_tasks_extension(request.caller.capabilities)
        name = jsonrpc.text(request.params.get("taskId", UNSET))
        if name is None:
            raise ProtocolError(jsonrpc.INVALID_PARAMS, "params.taskId must be a string: the task's id")
        server, id = self._tasks.find(name, principal=request.caller.principal)
        backend = self._visible.backends.get(server)
        if backend is None:
            raise ProtocolError(jsonrpc.INVALID_PARAMS, f"unknown task: its server {server!r} is not here any more")
        return backend, id, name

    def _item(self, listing: Listing, name: str) -> Item:
        item = listing.items.get(name)
        if item is None:
            raise self._away(listing, name)
        return item

    def _away(self, listing: Listing, name: str) -> ProtocolError | AwayError:
        """Why a name is not offered now."""
        backend = self._visible.backends.get(listing.away.get(name, ""))
        if backend is None:
            return ProtocolError(jsonrpc.INVALID_PARAMS, f"unknown {_NOUNS[listing.kind.name]}: {name[:80]!r}")
        return AwayError(backend.snapshot.absence(backend.server.name))
