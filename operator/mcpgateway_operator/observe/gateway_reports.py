"""One long poll for each gateway pod: its `/status`, as soon as it changes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import aiohttp

from ..render.naming import INTERNAL_PORT
from .child_state import Key, Pod

_WAIT = 30  # seconds that the gateway may hold a poll
_GRACE = 8  # seconds that an answer may take beyond that
_RETRY = 1.0  # seconds between attempts
_MAX_REPORT = 1 << 20  # bytes; 64 servers need a tenth of it


class GatewayReports:
    """Keeps one poll a pod; implements `reconcile.ports.Reports`. `on_change` gets the key whose reports have changed."""

    def __init__(self, on_change: Callable[[Key], None]) -> None:
        self._on_change = on_change
        self._tasks: dict[Key, dict[str, asyncio.Task[None]]] = {}
        self._reports: dict[Key, dict[str, Mapping[str, Any]]] = {}
        self._polled: set[str] = set()  # uids of pods that have answered, or failed to, at least once
        self._session: aiohttp.ClientSession | None = None

    def reports(self, key: Key) -> Mapping[str, Mapping[str, Any]]:
        """The latest report by pod uid; a pod that does not answer has none."""
        return self._reports.get(key, {})

    def pending(self, key: Key) -> bool:
        """Whether the first answer of a pod is still outstanding."""
        return any(uid not in self._polled for uid in self._tasks.get(key, ()))

    def follow(self, key: Key, pods: list[Pod]) -> None:
        """Poll exactly these pods of a gateway."""
        wanted = {pod.uid: pod for pod in pods}
        tasks = self._tasks.setdefault(key, {})
        for uid in [uid for uid in tasks if uid not in wanted]:
            tasks.pop(uid).cancel()
            self._polled.discard(uid)
            self._reports.get(key, {}).pop(uid, None)
        for uid, pod in wanted.items():
            if uid not in tasks:
                tasks[uid] = asyncio.get_running_loop().create_task(self._poll(key, pod), name=f"poll {pod.name}")
        if not tasks:
            self._tasks.pop(key, None)
            self._reports.pop(key, None)

    async def close(self) -> None:
        """Stop all polls."""
        for key in list(self._tasks):
            self.follow(key, [])
        if self._session is not None:
            await self._session.close()

    async def _poll(self, key: Key, pod: Pod) -> None:
        host = f"[{pod.ip}]" if ":" in pod.ip else pod.ip
        url = f"http://{host}:{INTERNAL_PORT}/status"
        version, clock = "", asyncio.get_running_loop().time
        answered = clock() - _GRACE  # a pod that never answered gets no grace
        while True:
            try:
                report = await self._ask(url, version)
            except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
                version = ""
                if clock() - answered >= _GRACE:
                    self._take(key, pod.uid, None)
                await asyncio.sleep(_RETRY)
                continue
            answered, version = clock(), str(report.get("version", ""))
            self._take(key, pod.uid, report)

    async def _ask(self, url: str, version: str) -> Mapping[str, Any]:
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        timeout = aiohttp.ClientTimeout(total=_WAIT + _GRACE if version else _GRACE, connect=_GRACE)
        parameters = {"after": version, "wait": f"{_WAIT}s"}
        async with self._session.get(url, params=parameters, timeout=timeout, allow_redirects=False) as response:
            response.raise_for_status()
            raw = b"".join([chunk async for chunk in _bounded(response.content)])
        report = json.loads(raw)
        if not isinstance(report, dict):
            raise ValueError(f"{url}: not an object")
        return report

    def _take(self, key: Key, uid: str, report: Mapping[str, Any] | None) -> None:
        reports = self._reports.setdefault(key, {})
        if uid in self._polled and reports.get(uid) == report:
            return
        self._polled.add(uid)
        if report is None:
            reports.pop(uid, None)
        else:
            reports[uid] = report
        self._on_change(key)


async def _bounded(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """The chunks of a body. Raises: ValueError beyond the largest size."""
    size = 0
    async for chunk in content.iter_any():
        size += len(chunk)
        if size > _MAX_REPORT:
            raise ValueError(f"a report of over {_MAX_REPORT} bytes")
        yield chunk
