"""Values that the schema allows and that cannot work, or must not be in a resource: left from a client's configuration.

Pure. The API server accepts them; `mcpgw` does not. Issue 16, L4.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from .confidential import looks_secret
from .field_error import FieldError, Path, shown

# The expressions of client configurations; a shell's `${input:-x}` is none of them.
_EXPRESSION = re.compile(
    r"\$\{(?:(?:input|env|config|command|file|secret|prompt):[^}=?+-][^}]*|workspaceFolder[^}]*|workspaceRoot|userHome|cwd|pathSeparator)\}"
)
_SHELL_VARIABLE = re.compile(r"\$\{([A-Z_][A-Z0-9_]*)(?::?-[^}]*)?\}")
_STAND_IN = re.compile(
    r"<[A-Za-z][A-Za-z0-9 _-]*>|(?:your|insert)[-_ ](?:[a-z0-9]+[-_ ])*(?:key|token|secret|password)(?:[-_ ]here)?", re.IGNORECASE
)
_NODE_PORTS: Final = range(30000, 32768)
_SHELLS: Final = frozenset({"sh", "bash", "dash", "zsh", "ash"})
_RUNNERS: Final = frozenset({"npx", "uvx", "bunx", "pnpx", "pipx", "uv", "docker", "podman"})
# Source: github.com/distribution/reference, the grammar of an image's name, tag and digest.
_PART = "[a-z0-9]+(?:(?:[.]|_|__|-+)[a-z0-9]+)*"
_LABEL = "[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_IMAGE = re.compile(
    rf"(?:(?:{_LABEL}(?:[.]{_LABEL})*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?/)?{_PART}(?:/{_PART})*(?::[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?"
    r"(?:@[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,})?"
)


def pitfalls(raw: Any, *, images: bool = True) -> Iterator[FieldError]:
    """The pitfalls of a raw spec; parts with structural errors are passed over. `images`: whether images are used at all."""
    if not isinstance(raw, Mapping):
        return
    yield from _service(raw.get("service"))
    servers = raw.get("servers")
    for index, server in enumerate(servers if isinstance(servers, list) else ()):
        if isinstance(server, Mapping):
            yield from _server(server, ("spec", "servers", index), images=images)


def _service(service: Any) -> Iterator[FieldError]:
    """The API server's flag --service-node-port-range has this default, and few clusters another one."""
    port = service.get("nodePort") if isinstance(service, Mapping) else None
    if isinstance(port, int) and port not in _NODE_PORTS:
        fix = f"clusters take {_NODE_PORTS.start} to {_NODE_PORTS.stop - 1}: choose another port, or remove it"
        yield FieldError(("spec", "service", "nodePort"), f" is {port}: {fix}")


def _server(server: Mapping[str, Any], path: Path, *, images: bool) -> Iterator[FieldError]:
    image = server.get("image")
    if images and isinstance(image, str) and not re.search(r"\s", image) and not _IMAGE.fullmatch(image):
        fix = "want [REGISTRY/]NAME[:TAG] in lower case, of an image that has the program"
        yield FieldError((*path, "image"), f" is {shown(image)}, which is not an image: {fix}")
    yield from _command(server, path)
    for name in ("env", "headers"):
        yield from _values(server.get(name), (*path, name))
    if isinstance(url := server.get("url"), str):
        yield from _text(url, (*path, "url"), "write the URL itself; a secret belongs into headers", _EXPRESSION, _SHELL_VARIABLE)


def _command(server: Mapping[str, Any], path: Path) -> Iterator[FieldError]:
    words = [(name, place, word) for name in ("command", "args") for place, word in enumerate(_texts(server.get(name)))]
    program = words[0][2] if words and words[0][0] == "command" else ""
    if re.search(r"\s", program) and not program.startswith(("/", ".")):
        fix = f"one item for each word: [{', '.join(_split(program))}]" if not looks_secret(program) else "one item for each word"
        yield FieldError((*path, "command", 0), f" is {shown(program)}, which no program is called: write {fix}")
    runner, shell = program.rsplit("/", 1)[-1], program.rsplit("/", 1)[-1] in _SHELLS
    for name, place, word in words:
        where = (*path, name, place)
        if runner in _RUNNERS and re.match(r"-{1,2}[a-z]+\s+\S", word):
            yield FieldError(where, f" is {shown(word)}: write one item for each word: [{', '.join(_split(word))}]")
        patterns = (_EXPRESSION,) if shell else (_EXPRESSION, _SHELL_VARIABLE)
        yield from _text(word, where, "declare the variable in env, and write $(NAME) here", *patterns)
        if looks_secret(word):
            yield FieldError(where, f" is {shown(word)} and holds a secret: {_MOVE}, then write $(NAME) here")


_MOVE: Final = "put it into a Secret, and into env with valueFrom: {secretKeyRef: {name: SECRET, key: KEY}}"


def _values(entries: Any, path: Path) -> Iterator[FieldError]:
    """The literal values of variables and headers."""
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        value, name = (entry.get("value"), entry.get("name")) if isinstance(entry, Mapping) else (None, None)
        if not isinstance(value, str):
            continue
        where, label = (*path, index, "value"), name if isinstance(name, str) else ""
        fix = "write valueFrom: {secretKeyRef: {name: SECRET, key: KEY}}"
        yield from _text(value, where, f"{fix}, or the value itself", _EXPRESSION, _SHELL_VARIABLE, whole=_STAND_IN.fullmatch)
        if looks_secret(value, name=label):
            text = f" of {label!r} is {shown(value, confidential=True)} and looks like a secret: put it into a Secret, and {fix}"
            yield FieldError(where, text)


def _text(
    text: str, path: Path, fix: str, *patterns: re.Pattern[str], whole: Callable[[str], re.Match[str] | None] | None = None
) -> Iterator[FieldError]:
    for pattern in patterns:
        if match := pattern.search(text):
            yield FieldError(path, f" has {match[0]}, which only some clients replace: {fix}")
            return
    if whole is not None and whole(text):
        yield FieldError(path, f" is {shown(text)}, which stands for a value: {fix}")


def _texts(value: Any) -> list[str]:
    return [word if isinstance(word, str) else "" for word in value] if isinstance(value, list) else []


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()
