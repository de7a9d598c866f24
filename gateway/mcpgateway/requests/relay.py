"""Hands requests to servers."""

from __future__ import annotations

from msgspec import UNSET, Raw

from ..catalog.model import Item
from ..protocol import jsonrpc, translation
from ..streams.process_users import ProcessUsers
from ..upstream.backend import Backend
from .call import Call, CallServices
from .caller import Request


class Relay:
    """Makes a call of a request, or finds the call that it continues."""

    def __init__(self, services: CallServices, users: ProcessUsers) -> None:
        self._services, self._users = services, users

    def send(
        self, request: Request, backend: Backend, params: dict[str, Raw], *, item: Item | None = None, task_name: str = ""
    ) -> None:
        """Hand a request to a server; the answer comes when it comes. `params` have the server's own names.

        Raises: ProtocolError for a `requestState` that is not valid, TooManyCallsError.
        """
        answer = request.answer
        if answer.era == "modern" and backend.era == "legacy" and answer.method in translation.MULTI_ROUND:
            state = request.params.get("requestState", UNSET)
            if state is not UNSET:
                parked = self._services.input_required.take(jsonrpc.text(state) or "", request.binding)
                parked.resume(answer, request.params)
                return
        if answer.era == "legacy" and backend.snapshot.isolation == "Principal":
            self._users.add(request.caller.key, request.caller.identity)
        Call(request, backend, params, services=self._services, item=item, task_name=task_name).start()
