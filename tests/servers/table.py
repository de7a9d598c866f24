"""`python -m tests.servers.table`: write docs/servers.md from the results of `pytest tests/servers --every-server`."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from datetime import UTC, datetime
from typing import Any

from tests.support.paths import ROOT

from .conftest import PART, RESULTS
from .corpus import CORPUS, PublicServer
from .installed import version
from .test_corpus import AT_ONCE, LATE, ROUNDS, SESSIONS

PAGE = ROOT / "docs" / "servers.md"
_EXPERIMENTS = {
    "same": "same",
    "sdk": "SDK client",
    "sessions": f"session {SESSIONS}",
    "killed": "killed",
    "slow": "slow",
}
_WORDS = {True: "yes", False: "**no**", None: ""}
_HEAD = """# Public servers

Written by `make servers` on {date}. Each server is asked directly, in raw JSON over its stdin and stdout and by the official
Python SDK's client {sdk}, and through the gateway and a real bridge; about {part} of them are behind one gateway. All lists
(tools, prompts, resources, resource templates) are compared field by field, and so is the answer of one call. The servers have
no network and no credentials, so some of these calls fail, in the same way on both sides. `make test` takes a third of them, by
its seed.

- **same**: the lists, the call and the era are those of the server itself, for a client with a session, and for one without if
  the server is modern.
- **SDK client**: what the official client makes of tools, prompts and resources is equal.
- **session {sessions}**: the first and the last of {sessions} sessions, all open at the same time, get the same.
- **killed**: its processes get SIGKILL in the middle of a session. It comes back, in the same era, and a new session gets
  the same.
- **slow**: its program starts {late} s late. It has the same era and lists.

An empty cell was not tried in that run.

| server | version | SDK | era | isolation | tools, prompts, resources, templates | call | {experiments} |
|---|---|---|---|---|---|---|{rules}|
"""
_TAIL = """
{count} servers on {sdks} SDKs: {passed} experiments show no difference, {failed} show one, {untried} were not tried in this run.

{all_rounds} times, {at_once} of them, drawn by chance, are started at the same time on a machine with two cores. In {rounds} of
{tried} tries all were ready, each in the era that it has alone, and none was restarted.
"""


def results() -> dict[str, dict[str, dict[str, Any]]]:
    """By experiment and server, how the latest try ended, and what was found."""
    found: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for line in RESULTS.read_text().splitlines():
        row = json.loads(line)
        found[row["experiment"]][row["server"]] = row
    return found


def row(public: PublicServer, found: dict[str, dict[str, dict[str, Any]]]) -> str:
    """One line of the table."""
    same = found["same"].get(public.name, {})
    counts = ", ".join(str(count) for count in same.get("counts", {}).values())
    passed = [_WORDS[_passed(found, experiment, public.name)] for experiment in _EXPERIMENTS]
    offers = same.get("counts", {}).get("tools")
    answer = f"`{public.tool}`: {same.get('answer', '')}" if offers else "no tools" if offers == 0 else ""
    cells = (f"`{public.package}`", version(public), public.sdk, same.get("era", ""), same.get("isolation", ""), counts, answer)
    return "| " + " | ".join((*cells, *passed)) + " |"


def _passed(found: dict[str, dict[str, dict[str, Any]]], experiment: str, server: str) -> bool | None:
    """None if it was not tried."""
    passed: bool | None = found[experiment].get(server, {}).get("passed")
    return passed


def page(found: dict[str, dict[str, dict[str, Any]]], sdk: str) -> str:
    """The whole document."""
    ends = Counter(_passed(found, experiment, one.name) for experiment in _EXPERIMENTS for one in CORPUS)
    head = _HEAD.format(
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        sdk=sdk,
        part=PART,
        sessions=SESSIONS,
        late=LATE,
        experiments=" | ".join(_EXPERIMENTS.values()),
        rules="|".join("---" for _ in _EXPERIMENTS),
    )
    tail = _TAIL.format(
        count=len(CORPUS),
        sdks=len({one.sdk for one in CORPUS}),
        passed=ends[True],
        failed=ends[False],
        untried=ends[None],
        rounds=sum(row["passed"] for row in found["at once"].values()),
        all_rounds=ROUNDS,
        tried=len(found["at once"]),
        at_once=AT_ONCE,
    )
    return head + "\n".join(row(one, found) for one in CORPUS) + "\n" + tail


if __name__ == "__main__":
    import importlib.metadata

    PAGE.write_text(page(results(), importlib.metadata.version("mcp")))
