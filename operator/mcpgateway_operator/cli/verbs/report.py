"""`mcpgw report`: everything that helps somebody else to find out what is wrong, without secrets, in one archive."""

from __future__ import annotations

import contextlib
import io
import json
import re
import tarfile
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import aiohttp

from ... import __version__
from ...render.naming import INSTANCE
from ..bad_input import BadInputError
from ..output.screen import Screen
from ..target.choose import chosen
from ..target.cluster_target import ClusterTarget, path_of
from ..target.model import GATEWAY_LOG, Choice, Target

_TAIL = 1000  # lines of each log
_HIDDEN = "[hidden]"
_TIMEOUT = aiohttp.ClientTimeout(total=10)
_CREDENTIALS = re.compile(r"(?i)\b(bearer|basic)(\s+)[^\s\"',;}]+")
_ASSIGNED = re.compile(r"(?i)(token|password|passwd|secret|api[-_]?key)(\\?[\"']?\s*[:=]\s*\\?[\"']?)[^\s\"',;}{\[]+")
_URL_PASSWORD = re.compile(r"(?<=://)[^/\s:@]+:[^/\s@]+(?=@)")
_SPOKEN = frozenset({"env", "headers"})  # lists whose `value`s may be secrets
_LINES_OF_KUBECTL = "kubectl.kubernetes.io/last-applied-configuration"


async def report(choice: Choice, screen: Screen, *, file: Path) -> None:
    """Write the archive. Raises: BadInputError, NotReachedError."""
    if file.exists():  # noqa: ASYNC240 - a file of this machine
        raise BadInputError(f"{file} exists: choose another name with --file, or remove it")
    async with chosen(choice) as target:
        with screen.progress(f"collecting from {target.title}"):
            tokens = await _known_secrets(target)
            parts = [(name, redacted(text, tokens)) async for name, text in _parts(target)]
    _write(file, parts)
    screen.lines([str(file)])
    screen.note(f"{len(parts)} files, without Secrets and values of variables; read it before you send it")


async def _known_secrets(target: Target) -> list[str]:
    """The token, so that it can be found wherever it was logged."""
    with contextlib.suppress(BadInputError):
        return [token for token in (await target.token(),) if token]
    return []


async def _parts(target: Target) -> AsyncIterator[tuple[str, str]]:
    """The (name, text) of each file. What cannot be had is a file that says why."""
    yield "version.txt", f"mcpgw {__version__}\n{target.title}\n"
    resource = await target.resource()
    yield "resource.json", _json(without_values(resource))
    async for part in _gateway_parts(target, [row["name"] for row in resource.get("status", {}).get("servers") or ()]):
        yield part
    if isinstance(target, ClusterTarget):
        ours = {"labelSelector": f"{INSTANCE}={target.name}"}
        for kind, query in (("Pod", ours), ("Deployment", ours), ("Event", {})):
            yield f"{kind.lower()}s.json", await _listed(target, kind, query)
    servers = [server["name"] for server in resource["spec"].get("servers") or () if "url" not in server]
    for component in (GATEWAY_LOG, *servers):
        async for part in _log_parts(target, component):
            yield part


async def _gateway_parts(target: Target, servers: Iterable[str]) -> AsyncIterator[tuple[str, str]]:
    try:
        async with target.internal_urls() as urls, aiohttp.ClientSession(timeout=_TIMEOUT) as session:
            for number, url in enumerate(urls):
                for path in ("status", "metrics", *(f"status/{server}" for server in servers)):
                    async with session.get(f"{url}/{path}") as answer:
                        yield f"gateway-{number}/{path.replace('/', '-')}.txt", await answer.text()
    except (BadInputError, aiohttp.ClientError, TimeoutError, OSError) as error:
        yield "gateway.txt", f"not reached: {error}\n"


async def _listed(target: ClusterTarget, kind: str, query: dict[str, str]) -> str:
    try:
        items = await target.api.items(path_of(kind, target.namespace), **query)
    except BadInputError as error:
        return f"{error}\n"
    return _json([without_values(item) for item in items])


async def _log_parts(target: Target, component: str) -> AsyncIterator[tuple[str, str]]:
    for previous in (False, True):
        try:
            sources = await target.log_sources(component, follow=False, tail=_TAIL, previous=previous)
            for source in sources:
                mark = "-previous" if previous else ""
                text = b"".join([chunk async for chunk in source.chunks]).decode(errors="replace")
                yield f"logs/{component}-{source.name}{mark}.txt", text
        except BadInputError as error:
            if not previous:  # most containers have not been restarted
                yield f"logs/{component}.txt", f"{error}\n"


def without_values(value: Any, *, of: str = "") -> Any:
    """An object without what may be secret: values of variables and headers, and kubectl's copy of the whole."""
    if isinstance(value, list):
        return [without_values(item, of=of) for item in value]
    if not isinstance(value, dict):
        return value
    hidden = {"value"} if of in _SPOKEN else {"managedFields", _LINES_OF_KUBECTL}
    kept = {key: without_values(item, of=key) for key, item in value.items() if key not in hidden}
    return kept | ({"value": _HIDDEN} if of in _SPOKEN and "value" in value else {})


def redacted(text: str, secrets: Iterable[str]) -> str:
    """Text without known secrets, and without what looks like one."""
    for secret in secrets:
        text = text.replace(secret, _HIDDEN)
    text = _URL_PASSWORD.sub(_HIDDEN, text)
    for form in (_CREDENTIALS, _ASSIGNED):
        text = form.sub(lambda match: f"{match[1]}{match[2]}{_HIDDEN}", text)
    return text


def _json(value: Any) -> str:
    return json.dumps(value, indent=2) + "\n"


def _write(file: Path, parts: Iterable[tuple[str, str]]) -> None:
    """The whole archive or none. Raises: BadInputError."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for name, text in parts:
            data = text.encode(errors="replace")
            entry = tarfile.TarInfo(f"mcpgw-report/{name}")
            entry.size, entry.mode = len(data), 0o600
            archive.addfile(entry, io.BytesIO(data))
    try:
        file.write_bytes(content.getvalue())
        file.chmod(0o600)
    except OSError as error:
        file.unlink(missing_ok=True)
        raise BadInputError(f"{file} cannot be written: {error.strerror}") from error
