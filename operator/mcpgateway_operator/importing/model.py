"""MCP servers in neutral terms, between the forms in which they are published and an MCPGateway, and a conversion's report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Outcome = Literal["changed", "dropped", "step", "refused"]


class RefusedError(Exception):
    """A server that cannot be converted; the message says why, and what to do instead."""


class UnreadableError(Exception):
    """A source that is in none of the forms that can be imported; the message names what was expected."""


@dataclass(frozen=True)
class Entry:
    """One server as its source describes it."""

    name: str
    fields: Mapping[str, Any]
    inputs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # VS Code: what `${input:ID}` stands for


@dataclass(frozen=True)
class Package:
    """A package of a registry; `version` is exact, or empty for the newest one."""

    registry: Literal["npm", "pypi"]
    name: str
    version: str = ""
    program: str = ""  # the command in it; empty: the only one, or the one that is named as the package
    extras: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()  # further ones
    python: str = ""  # a version as 3.12


@dataclass(frozen=True)
class Setting:
    """A variable or a header: a literal value, or one that belongs into a Secret."""

    name: str
    value: str | None = None  # None: it belongs into the Secret
    hint: str = ""  # what the Secret's value is


@dataclass(frozen=True)
class Folder:
    """A folder of a server."""

    path: str


@dataclass(frozen=True)
class Server:
    """One server: a package, an image or a URL."""

    name: str  # in the source
    package: Package | None = None
    image: str = ""
    url: str = ""
    command: tuple[str, ...] = ()  # of an image, if the source has it
    args: tuple[str, ...] = ()
    env: tuple[Setting, ...] = ()
    headers: tuple[Setting, ...] = ()
    folders: tuple[Folder, ...] = ()
    run_as_user: int | None = None
    resources: Mapping[str, Any] = field(default_factory=dict)
    call_timeout: str = ""
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    disabled: bool = False


@dataclass(frozen=True)
class Note:
    """One line of the report."""

    outcome: Outcome
    server: str
    text: str


class Report:
    """What a conversion changed, dropped, left to do by hand, and refused."""

    def __init__(self) -> None:
        self.notes: list[Note] = []

    def add(self, outcome: Outcome, server: str, text: str) -> None:
        """Add a line, unless it is there."""
        note = Note(outcome, server, text)
        if note not in self.notes:
            self.notes.append(note)

    def of(self, outcome: Outcome) -> list[Note]:
        """The lines of one outcome."""
        return [note for note in self.notes if note.outcome == outcome]
