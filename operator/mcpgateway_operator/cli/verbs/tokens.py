"""`mcpgw token`: the tokens of a gateway. To rotate one is to create another beside it, and to revoke the old one later."""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import AsyncIterator
from typing import Any

from ...api.group import KIND
from ..bad_input import BadInputError
from ..cluster.api import MERGE, Api
from ..output.screen import Screen
from ..output.tables import table
from ..output.text import suggestion
from ..target.choose import chosen
from ..target.cluster_target import ClusterTarget, path_of
from ..target.model import Choice, Resource, Target

_BYTES = 24  # of a new token
_KEY = "token"
_OURS = {"app.kubernetes.io/managed-by": "mcpgw"}
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_GENERATION = re.compile(r"-r(\d+)$")  # the end of a rotated token's name


async def show(choice: Choice, screen: Screen, *, name: str | None) -> None:
    """Print a token, by default the first one. Raises: BadInputError, NotReachedError."""
    async with chosen(choice) as target:
        tokens = _tokens(await target.resource())
        if not tokens:
            raise BadInputError(f"{target.name!r} has no tokens: its clients need none")
        value = await target.secret_value(**_entry(tokens, name or tokens[0]["name"])["secretKeyRef"])
    if screen.for_people:
        screen.lines([value])
    else:
        screen.document({"token": value})


async def list_all(choice: Choice, screen: Screen) -> None:
    """Print the tokens without their values. Raises: BadInputError, NotReachedError."""
    async with chosen(choice) as target:
        tokens = _tokens(await target.resource())
    if screen.for_people:
        rows = [(token["name"], token["secretKeyRef"]["name"], token["secretKeyRef"]["key"]) for token in tokens]
        screen.lines(table(("TOKEN", "SECRET", "KEY"), rows))
    else:
        screen.document({"tokens": tokens})


async def create(choice: Choice, screen: Screen, *, name: str) -> None:
    """Create a Secret with a new token, and accept it. Raises: BadInputError, NotReachedError."""
    async with _in_cluster(choice) as (cluster, resource, tokens):
        if any(token["name"] == name for token in tokens):
            raise BadInputError(
                f"{cluster.name!r} has a token {name!r} already: use another name, or `mcpgw token rotate {name}`"
            )
        await _add(cluster, resource, {"name": name}, screen)


async def rotate(choice: Choice, screen: Screen, *, name: str) -> None:
    """Create a successor of a token; both are accepted until the old one is revoked. Raises: BadInputError, NotReachedError."""
    async with _in_cluster(choice) as (cluster, resource, tokens):
        entry = _entry(tokens, name)
        successor = _successor(name, [token["name"] for token in tokens])
        await _add(cluster, resource, {**entry, "name": successor}, screen)
        screen.note(f"{name!r} is accepted as well: when no client uses it any more, run `mcpgw token revoke {name}`")


async def revoke(choice: Choice, screen: Screen, *, name: str) -> None:
    """Accept a token no longer, and delete its Secret if `mcpgw` has created it. Raises: BadInputError, NotReachedError."""
    async with _in_cluster(choice) as (cluster, resource, tokens):
        entry = _entry(tokens, name)
        if len(tokens) == 1:
            raise BadInputError(
                f"{name!r} is the only token of {cluster.name!r}: create another one first, or no client can log in"
            )
        await _put(cluster, resource, [token for token in tokens if token["name"] != name])
        await _delete_own(cluster.api, cluster.namespace, entry["secretKeyRef"]["name"])
    screen.note(f"{name!r} is no longer accepted, within seconds")


@contextlib.asynccontextmanager
async def _in_cluster(choice: Choice) -> AsyncIterator[tuple[ClusterTarget, Resource, list[dict[str, Any]]]]:
    """A gateway whose tokens can be changed, its resource, and its tokens."""
    async with chosen(choice) as target:
        cluster = _of_cluster(target)
        resource = await cluster.resource()
        yield cluster, resource, _tokens(resource)


def _of_cluster(target: Target) -> ClusterTarget:
    if not isinstance(target, ClusterTarget):
        raise BadInputError(f"{target.title}: its tokens are those of its file: edit spec.auth.tokens in {target.place['file']}")
    return target


def _tokens(resource: Resource) -> list[dict[str, Any]]:
    return list(resource["spec"].get("auth", {}).get("tokens") or ())


def _entry(tokens: list[dict[str, Any]], name: str) -> dict[str, Any]:
    for token in tokens:
        if token["name"] == name:
            return token
    raise BadInputError(f"there is no token {name!r}: {suggestion(name, [token['name'] for token in tokens])}")


def _successor(name: str, taken: list[str]) -> str:
    """The next free name: dev, dev-r2, dev-r3 …"""
    stem = _GENERATION.sub("", name)
    numbers = [int(match[1]) for other in taken if other.startswith(f"{stem}-r") and (match := _GENERATION.search(other))]
    return f"{stem}-r{max([1, *numbers]) + 1}"


async def _add(cluster: ClusterTarget, resource: Resource, entry: dict[str, Any], screen: Screen) -> None:
    """A Secret first, so that there is never a token without a value; then its entry."""
    name = entry["name"]
    if not _NAME.fullmatch(name):
        raise BadInputError(f"token name {name!r}: want lower-case letters, digits and -, for example 'ci'")
    value, secret = secrets.token_urlsafe(_BYTES), f"{cluster.name}-token-{name}"
    await cluster.api.request("POST", path_of("Secret", cluster.namespace), body=_secret(secret, value))
    try:
        await _put(cluster, resource, [*_tokens(resource), {**entry, "secretKeyRef": {"name": secret, "key": _KEY}}])
    except BadInputError:
        await cluster.api.request("DELETE", path_of("Secret", cluster.namespace, secret))
        raise
    if screen.for_people:
        screen.lines([value])
    else:
        screen.document({"name": name, "secret": secret, "token": value})


def _secret(name: str, value: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "labels": _OURS}, "stringData": {_KEY: value}}


async def _put(cluster: ClusterTarget, resource: Resource, tokens: list[dict[str, Any]]) -> None:
    """Replace the list, unless somebody has changed the resource since it was read: then the API server refuses."""
    body = {"metadata": {"resourceVersion": resource["metadata"]["resourceVersion"]}, "spec": {"auth": {"tokens": tokens}}}
    await cluster.api.request("PATCH", path_of(KIND, cluster.namespace, cluster.name), body=body, content=MERGE)


async def _delete_own(api: Api, namespace: str, name: str) -> None:
    secret = await api.get(path_of("Secret", namespace, name))
    labels = ((secret or {}).get("metadata") or {}).get("labels") or {}
    if _OURS.items() <= labels.items():
        await api.request("DELETE", path_of("Secret", namespace, name))
