"""Whether the operator may list and watch what it works on, asked before it does.

kopf ends when a list is refused, and the process would restart for ever. Every authenticated user may create
SelfSubjectAccessReviews (ClusterRole `system:basic-user`); a cluster that took that right away is not asked.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from itertools import product

from ..observe.kinds import Resource
from ..observe.ports import ApiError
from .restart import RestartRequired
from .transport import Transport

_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_VERBS = ("list", "watch")
_WAITING = 2.0  # seconds between attempts


class Access:
    """The rights to read some kinds of objects in some namespaces, or in all."""

    def __init__(self, transport: Transport, resources: Iterable[Resource], namespaces: Iterable[str]) -> None:
        self._transport = transport
        self._wanted = tuple(product(resources, tuple(namespaces) or ("",), _VERBS))

    async def granted(self, waits_for: Callable[[str], None]) -> None:
        """Wait until nothing is missing; what is missing is reported."""
        while missing := await self._attempt():
            waits_for(missing)
            await asyncio.sleep(_WAITING)

    async def check(self) -> None:
        """Raises: RestartRequired if a right is missing."""
        with contextlib.suppress(ApiError):  # a failing API server says nothing about rights
            if missing := await self._missing():
                raise RestartRequired(f"it has lost {missing}")

    async def _attempt(self) -> str:
        try:
            return await self._missing()
        except ApiError as error:
            return f"the API server: {error}"

    async def _missing(self) -> str:
        """What is missing, in words, or nothing. Raises: ApiError."""
        allowed = await asyncio.gather(*(self._allowed(*wanted) for wanted in self._wanted))
        return _words([wanted for wanted, granted in zip(self._wanted, allowed, strict=True) if not granted])

    async def _allowed(self, resource: Resource, namespace: str, verb: str) -> bool:
        asked = {"group": resource.group, "resource": resource.plural, "namespace": namespace, "verb": verb}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": asked},
        }
        try:
            answer = await self._transport.request("POST", _REVIEWS, body=review)
        except ApiError as error:
            if error.status in (403, 404):
                return True
            raise
        return bool(answer["status"]["allowed"])


def _words(missing: list[tuple[Resource, str, str]]) -> str:
    if not missing:
        return ""
    rights = ", ".join(f"{verb} {_full_name(resource)}{_place(namespace)}" for resource, namespace, verb in missing)
    return f"the right to {rights}: the role of the operator's service account lacks it, the chart has it"


def _full_name(resource: Resource) -> str:
    return f"{resource.plural}.{resource.group}".rstrip(".")


def _place(namespace: str) -> str:
    return f" in namespace {namespace}" if namespace else ""
