"""From what is known of a gateway to one sentence and one command. Pure.

The order is that of a request: the resource, its references, the objects, the pods, each server, and a client's own call. The
first thing that is broken explains what comes after it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..output.text import one_line
from ..target.model import Reference, Resource
from . import advice

State = Literal["good", "bad", "doubtful"]
_OPTION = re.compile(r"optionalAPIs\.\w+=true")
_READY = "Ready"


@dataclass(frozen=True)
class Evidence:
    """What was found out. `call` is why a client cannot list the tools; None if it can, or was not tried."""

    resource: Resource
    place: Mapping[str, str]  # kubectl, mcpgw, and file of a local run
    absent: tuple[Reference, ...] = ()
    exits: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # the bridges' reports by server
    call: str | None = None
    tools: int = 0


@dataclass(frozen=True)
class Step:
    """One look: what at, how it is, and what was seen."""

    subject: str
    state: State
    words: str


@dataclass(frozen=True)
class Finding:
    """A cause: one sentence, and one command that helps."""

    sentence: str
    command: str
    broken: bool = True


def findings(evidence: Evidence) -> list[Finding]:
    """All causes, the one that explains the others first; one that says that all is well if there is none."""
    causes = [*_unseen(evidence), *_references(evidence), *_conditions(evidence), *_servers(evidence), *_call(evidence)]
    if causes:
        return sorted(causes, key=lambda cause: not cause.broken)
    words = f"{_name(evidence)} is healthy: a client gets {evidence.tools} tools"
    return [Finding(f"{words}.", _filled("mcpgw tools {mcpgw}", evidence), broken=False)]


def steps(evidence: Evidence) -> Iterator[Step]:
    """What was looked at, in this order."""
    for condition in _all_conditions(evidence):
        if condition["type"] not in ("Reconciling", "Stalled"):
            waiting = condition["reason"] in advice.WAITING
            state: State = "good" if condition["status"] == "True" else "doubtful" if waiting else "bad"
            yield Step(condition["type"], state, f"{condition['reason']}: {condition['message']}")
    for reference in evidence.absent:
        yield Step(f"{reference.kind} {reference.name}", "bad", f"does not exist, or lacks the key {reference.key!r}")
    for row in _rows(evidence):
        error = row.get("lastError")
        words = f"{error['reason']}: {error['message']}" if error else f"{row.get('tools', 0)} tools"
        yield Step(f"server {row['name']}", _row_state(row), f"{row['state']}; {words}")
        yield from _exit_steps(row["name"], evidence)
    if evidence.call is not None:
        yield Step("a client's tools/list", "bad", evidence.call)
    elif evidence.tools:
        yield Step("a client's tools/list", "good", f"{evidence.tools} tools")


def _exit_steps(server: str, evidence: Evidence) -> Iterator[Step]:
    report = evidence.exits.get(server) or {}
    end = report.get("signal") or f"exit code {report.get('code')}"
    for line in (report.get("stderr") or ())[-3:]:
        yield Step(f"server {server}, stderr ({end})", "doubtful", str(line))


def _row_state(row: Mapping[str, Any]) -> State:
    if row["state"] != _READY:
        return "bad"
    return "doubtful" if row.get("lastError") else "good"


def _unseen(evidence: Evidence) -> Iterator[Finding]:
    """The operator has not looked at this generation yet."""
    status = evidence.resource.get("status") or {}
    if not status.get("conditions"):
        words = f"No operator has looked at {_name(evidence)} yet: none is running, or it watches other namespaces."
        yield Finding(words, advice.OPERATOR)


def _references(evidence: Evidence) -> Iterator[Finding]:
    for reference in evidence.absent:
        words = f"{reference.kind} {reference.name!r}, key {reference.key!r}, does not exist, and {_name(evidence)} refers to it."
        if "file" in evidence.place:
            variable = "MCPGW_SECRET_" + re.sub(r"[^A-Z0-9]", "_", f"{reference.name}_{reference.key}".upper())
            yield Finding(words, _filled(advice.LOCAL_SECRET, evidence, variable=variable))
        else:
            form = advice.CREATE_SECRET if reference.kind == "Secret" else advice.CREATE_CONFIG_MAP
            yield Finding(words, _filled(form, evidence, secret=reference.name, key=reference.key or "KEY"))


def _conditions(evidence: Evidence) -> Iterator[Finding]:
    """The conditions that are not what they should be, but for those that the servers or references explain in more detail."""
    seen = set[str]()
    explained = {"ServerNotReady"} if any(row["state"] != _READY for row in _rows(evidence)) else set()
    explained |= {"MissingReference"} if evidence.absent else set()
    for condition in _all_conditions(evidence):
        reason = condition["reason"]
        healthy = condition["status"] == "True" or condition["type"] in ("Reconciling", "Stalled")
        if healthy or reason in seen or reason in explained:
            continue
        seen.add(reason)
        option = _OPTION.search(condition["message"])
        command = _filled(advice.CONDITIONS.get(reason, advice.OTHER), evidence, option=option[0] if option else "")
        words = f"{_name(evidence)} is not {condition['type']} ({reason}): {_sentence(condition['message'])}"
        yield Finding(words, command, broken=reason not in advice.WAITING)


def _servers(evidence: Evidence) -> Iterator[Finding]:
    """Servers that do not serve first; then those that serve with a remark."""
    optional = {server["name"] for server in evidence.resource["spec"].get("servers", ()) if server.get("optional")}
    for row in sorted(_rows(evidence), key=lambda row: (row["state"] == _READY, row["name"] in optional)):
        error = row.get("lastError") or {}
        if not error and row["state"] == _READY:
            continue
        reason = error.get("reason", row["state"])
        if row["state"] == _READY and reason in ("Exited", "Moved", "Draining", "ReferencesChanged", "StateLost"):
            continue  # it has recovered
        form = advice.SERVERS.get(reason, advice.OTHER)
        words = (
            f"Server {row['name']!r} is {row['state']} ({reason}): {_sentence(error.get('message', 'it has not answered yet'))}"
        )
        broken = row["state"] != _READY and reason not in advice.WAITING
        yield Finding(words, _filled(form, evidence, server=row["name"]), broken=broken)


def _call(evidence: Evidence) -> Iterator[Finding]:
    if evidence.call is not None:
        words = f"A client cannot use {_name(evidence)}: {_sentence(evidence.call)}"
        yield Finding(words, _filled("mcpgw status {mcpgw}", evidence))


def _filled(form: str, evidence: Evidence, **values: str) -> str:
    """A command with its names in place."""
    name = _name(evidence)
    edit = advice.EDIT_FILE if "file" in evidence.place else advice.EDIT_RESOURCE
    names = {"kubectl": "kubectl", "name": name, "server": "", "option": "", **evidence.place, **values}
    return form.format_map({**names, "edit": edit.format_map(names)})


def _sentence(text: str) -> str:
    words = one_line(text)
    return words if words.endswith((".", "!", "?")) else f"{words}."


def _name(evidence: Evidence) -> str:
    return str(evidence.resource["metadata"]["name"])


def _all_conditions(evidence: Evidence) -> list[Mapping[str, Any]]:
    return list((evidence.resource.get("status") or {}).get("conditions") or ())


def _rows(evidence: Evidence) -> list[Mapping[str, Any]]:
    return list((evidence.resource.get("status") or {}).get("servers") or ())
