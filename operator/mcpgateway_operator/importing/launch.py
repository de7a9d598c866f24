"""A command line of a client's configuration → what it runs: a package, an image or a remote server. Pure.

Sources: npm-exec(1), uv's `uv tool run`, pipx run, docker run(1), and the README of mcp-remote.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from .model import Folder, Package, RefusedError

_BUILD: Final = "for a cluster, build an image with it, and write image and command; `mcpgw up` runs it here"
_NPM: Final = frozenset({"npx", "bunx", "pnpx"})
_UV: Final = frozenset({"uvx", "pipx"})
_ENGINES: Final = frozenset({"docker", "podman", "nerdctl"})
_SHELLS: Final = frozenset({"sh", "bash", "zsh", "cmd", "powershell", "pwsh"})
_PREFIXES: Final = (
    ("pnpm", "dlx"),
    ("yarn", "dlx"),
    ("bun", "x"),
    ("npm", "exec"),
    ("npm", "x"),
    ("uv", "tool", "run"),
    ("pipx", "run"),
)
_REMOTE_SHIMS: Final = frozenset(
    {"mcp-remote", "mcp-proxy", "supergateway", "mcp-remote-client", "@modelcontextprotocol/mcp-remote"}
)
_NPM_NAME = re.compile(r"(?P<name>(?:@[a-z0-9._~-]+/)?[a-z0-9][a-z0-9._~-]*)(?:@(?P<version>[^@/]+))?", re.IGNORECASE)
_PYPI_NAME = re.compile(
    r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)(?:\[(?P<extras>[A-Za-z0-9._, -]+)\])?"
    r"(?:(?:==|@)\s*(?P<version>[^\s,;]+))?(?P<range>[<>~!=].*)?"
)
_EXACT = re.compile(r"v?\d+(?:\.\d+)*(?:[-.+]?[0-9A-Za-z]+)*")
_OTHER_SOURCES = ("git+", "git:", "github:", "http:", "https:", "file:", "./", "../", "/", "~")
_NPX_VALUES: Final = frozenset({"-p", "--package", "-c", "--call", "-w", "--workspace", "--registry"})
_UV_VALUES: Final = frozenset(
    {
        "--from",
        "--with",
        "--spec",
        "--python",
        "-p",
        "--index-url",
        "--index",
        "--default-index",
        "--extra-index-url",
        "--directory",
        "--with-editable",
    }
    | {"--prerelease", "--refresh-package", "--constraints", "--env-file", "--link-mode", "--project"}
)
_RUN_FLAGS: Final = frozenset(  # of docker run, without a value
    {
        "-i",
        "-t",
        "-it",
        "-ti",
        "-d",
        "--rm",
        "--interactive",
        "--tty",
        "--init",
        "--detach",
        "--privileged",
        "--read-only",
        "-P",
        "-q",
        "--quiet",
    }
    | {"--no-healthcheck", "--publish-all", "--sig-proxy", "--oom-kill-disable"}
)
_IGNORED_RUN_VALUES: Final = frozenset(
    {"--name", "--pull", "--platform", "--hostname", "-h", "--label", "-l", "--log-driver", "--restart"}
)


class LocalError(Exception):
    """A command line that only this machine can run; the message says what a cluster needs."""


@dataclass
class Launch:
    """What a command line runs, and what was not carried over."""

    package: Package | None = None
    image: str = ""
    url: str = ""
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: list[tuple[str, str | None]] = field(default_factory=list)  # None: the client's own variable of that name
    headers: list[tuple[str, str]] = field(default_factory=list)
    folders: list[Folder] = field(default_factory=list)
    user: str = ""
    local: bool = False  # only this machine has the program
    dropped: list[str] = field(default_factory=list)
    moved: list[str] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)


def launch(words: Sequence[str]) -> Launch:
    """What a command line runs. Raises: RefusedError, if that is nothing."""
    given = list(words)
    words, env = _unwrapped(given)
    if not words or not words[0]:
        raise RefusedError("has no command: give one, or a url")
    try:
        launched = _by_program(_program(words[0]), words)
    except LocalError as error:
        return Launch(command=(given[0],), args=tuple(given[1:]), local=True, steps=[str(error)])
    launched.env += env
    return launched


def _by_program(program: str, words: Sequence[str]) -> Launch:
    if program in _NPM:
        return _npx(words[1:])
    if program in _UV:
        return _uvx(words[1:])
    if program in _ENGINES:
        return _container(program, words[1:])
    if program in _REMOTE_SHIMS:
        return _shim(program, words[1:])
    raise LocalError(_local(program, words))


def _program(word: str) -> str:
    """The name of a program, without its folder and the suffix that Windows needs."""
    name = re.split(r"[/\\]", word)[-1]
    return re.sub(r"\.(?:exe|cmd|bat|ps1)$", "", name, flags=re.IGNORECASE)


def _unwrapped(words: Sequence[str]) -> tuple[list[str], list[tuple[str, str | None]]]:
    """The command line without shells and `env` around it, with one name for each kind of runner, and the variables it sets."""
    words, env = list(words), list[tuple[str, str | None]]()
    if words and re.search(r"\s", words[0]) and not words[0].startswith(("/", ".")) and not re.match(r"[A-Za-z]:", words[0]):
        words = [*_split(words[0]), *words[1:]]
    for _ in range(4):  # a shell in a shell, at most
        program = _program(words[0]).lower() if words else ""
        if program == "env":
            words = words[1:]
        elif words and (match := re.match(r"^([A-Za-z_]\w*)=(.*)$", words[0])):
            env.append((match[1], match[2]))
            words = words[1:]
        elif program in _SHELLS and len(words) > 2 and words[1].lower() in ("/c", "/s", "-c", "-lc", "-command"):
            line = words[2] if len(words) == 3 else shlex.join(words[2:])
            if re.search(r"&&|\|\||[;|`]|\$\(", line):
                break
            words = _split(line)
    for prefix in _PREFIXES:
        if (*map(_program, words[:1]), *words[1 : len(prefix)]) == prefix:
            words = ["npx" if prefix[0] in ("pnpm", "yarn", "bun", "npm") else "uvx", *words[len(prefix) :]]
    return words, env


def _split(line: str) -> list[str]:
    try:
        return shlex.split(line.replace("\\", "/"))
    except ValueError:
        return line.split()


def _options(words: Sequence[str], valued: frozenset[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """The options before the first word that is none, as (name, value), and the words from there on."""
    options = []
    index = 0
    while index < len(words) and words[index].startswith("-"):
        word = words[index]
        index += 1
        if word == "--":
            break
        name, equals, value = word.partition("=")
        if not equals and name in valued and index < len(words):
            value = words[index]
            index += 1
        options.append((name, value))
    return options, list(words[index:])


def _npx(words: Sequence[str]) -> Launch:
    options, rest = _options(words, _NPX_VALUES)
    named = [value for name, value in options if name in ("-p", "--package")]
    if any(name in ("-c", "--call") for name, _ in options):
        raise LocalError(f"it runs a shell line with npx -c: {_BUILD}")
    if not named and not rest:
        raise RefusedError("runs npx without a package: name one")
    spec, args = (named[0], rest) if named else (rest[0], rest[1:])
    package = npm_package(spec)
    if package.name in _REMOTE_SHIMS:
        return _shim(package.name, args[1:] if named else args)
    if named and args:
        return Launch(package=replace(package, program=args[0]), args=tuple(args[1:]))
    return Launch(package=package, args=tuple(args))


def npm_package(spec: str) -> Package:
    """The package of an npm specifier."""
    match = _NPM_NAME.fullmatch(spec)
    if spec.startswith(_OTHER_SOURCES) or match is None:
        raise LocalError(f"it runs {spec!r}, which is not a package of a registry: {_BUILD}")
    version = match["version"] or ""
    return Package(
        "npm", match["name"], version=version.removeprefix("v") if _EXACT.fullmatch(version) and "." in version else ""
    )


def _uvx(words: Sequence[str]) -> Launch:
    options, rest = _options(words, _UV_VALUES)
    sources = [value for name, value in options if name in ("--from", "--spec")]
    if not sources and not rest:
        raise RefusedError("runs uvx without a package: name one")
    package = pypi_package(sources[0] if sources else rest[0])
    if package.name in _REMOTE_SHIMS:
        return _shim(package.name, rest[1:])
    python = next((value for name, value in options if name in ("--python", "-p")), "")
    version = re.search(r"3\.\d{1,2}", python)
    package = replace(
        package,
        program=rest[0] if sources and rest else "",
        requirements=tuple(value for name, value in options if name == "--with"),
        python=version[0] if version else "",
    )
    dropped = [f"{name} {value}: spec.packages says where packages come from" for name, value in options if "index" in name]
    if python and not version:
        dropped.append(f"--python {python}: write package.python as 3.12, if the default does not do")
    return Launch(package=package, args=tuple(rest[1:]), dropped=dropped)


def pypi_package(spec: str) -> Package:
    """The package of a Python requirement."""
    match = _PYPI_NAME.fullmatch(spec)
    if spec.startswith(_OTHER_SOURCES) or match is None:
        raise LocalError(f"it runs {spec!r}, which is not a package of a registry: {_BUILD}")
    version = match["version"] or ""
    extras = tuple(extra.strip() for extra in (match["extras"] or "").split(",") if extra.strip())
    return Package("pypi", match["name"], version=version if _EXACT.fullmatch(version) else "", extras=extras)


def _shim(program: str, words: Sequence[str]) -> Launch:
    """A program that connects a stdio client to a remote server: the gateway does that itself."""
    if "--stdio" in words[:-1]:  # it serves a program on stdio over HTTP, which the gateway does by itself
        return launch(_split(words[list(words).index("--stdio") + 1]))
    url, headers, dropped = "", [], []
    index = 0
    while index < len(words):
        word = words[index]
        name, equals, value = word.partition("=")
        if word.startswith(("http://", "https://")):
            url = url or word
        elif name in ("--header", "-H", "--headers"):
            if not equals:
                index += 1
                value = words[index] if index < len(words) else ""
            key, _, text = value.partition(":")
            headers.append((key.strip(), text.strip()))
        elif name in ("--sse", "--streamableHttp", "--endpoint", "--url") and not equals:
            pass  # the URL follows
        else:
            dropped.append(f"{word} of {program}: the gateway connects by itself")
        index += 1
    if not url:
        raise RefusedError(f"runs {program} without a URL: write url")
    return Launch(url=url, headers=headers, dropped=dropped)


def _container(engine: str, words: Sequence[str]) -> Launch:
    words = words[1:] if words[:1] == ["container"] else words
    if words[:1] != ["run"]:
        raise LocalError(f"it runs {' '.join((engine, *words[:2]))}: {_BUILD}")
    words = words[1:]
    launched = Launch()
    index = 0
    while index < len(words) and words[index].startswith("-"):
        word = words[index]
        index += 1
        name, equals, value = word.partition("=")
        if name in _RUN_FLAGS or re.fullmatch(r"-[itdPq]+", name):
            if name == "--privileged":
                launched.dropped.append("--privileged: pods of servers are restricted")
            continue
        if joined := re.match(r"^(-[evupw])(.+)$", word):
            name, value = joined[1], joined[2]
        elif not equals and index < len(words):
            value = words[index]
            index += 1
        _run_option(launched, name, value)
    if index >= len(words):
        raise RefusedError(f"runs {engine} without an image: name one")
    launched.image, launched.args = words[index], tuple(words[index + 1 :])
    return launched


def _run_option(launched: Launch, name: str, value: str) -> None:
    if name in ("-e", "--env"):
        key, equals, text = value.partition("=")
        launched.env.append((key, text if equals else None))
    elif name in ("-v", "--volume"):
        _volume(launched, value)
    elif name == "--mount":
        parts = dict(part.partition("=")[::2] for part in value.split(","))
        target = parts.get("target") or parts.get("dst") or parts.get("destination") or ""
        _volume(launched, f"{parts.get('source') or parts.get('src') or 'data'}:{target}")
    elif name == "--entrypoint":
        launched.command = (value,)
    elif name in ("-u", "--user"):
        launched.user = value.partition(":")[0]
    elif name == "--env-file":
        launched.steps.append(f"put the variables of {value} into a Secret, and add it to envFrom")
    elif name not in _IGNORED_RUN_VALUES:
        launched.dropped.append(f"{name} {value}: pods have their own network and limits")


def _volume(launched: Launch, value: str) -> None:
    match = re.match(r"^(?P<source>(?:[A-Za-z]:)?[^:]*):(?P<path>/[^:]*)(?::.*)?$", value)
    if match is None:
        launched.dropped.append(f"volume {value}: it has no path in the container")
        return
    if match["source"].endswith("docker.sock"):
        launched.dropped.append(f"volume {value}: pods have no container engine")
        return
    launched.folders.append(Folder(match["path"]))
    launched.moved.append(f"{match['source']} of this machine is storage of its own at {match['path']}: copy what it needs there")


def _local(program: str, words: Sequence[str]) -> str:
    """What a cluster needs for a program of this machine."""
    if program in _SHELLS:
        return f"it runs a shell line ({program}): {_BUILD}"
    file = next((word for word in words[1:4] if re.search(r"\.(?:py|js|mjs|cjs|ts|jar|rb|php|dll|csproj)$", word)), "")
    return f"it runs {file or words[0]} of this machine: {_BUILD}"


def environment(launched: Launch, own: Mapping[str, object]) -> dict[str, object]:
    """The variables of a container: those of the command line, with the client's own for names without a value."""
    return {name: own.get(name, f"${{{name}}}") if value is None else value for name, value in launched.env}
