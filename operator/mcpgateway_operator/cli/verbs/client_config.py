"""`mcpgw client-config`: what to write into an MCP client's configuration, and writes it there with `--install`."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..bad_input import BadInputError
from ..output.screen import Screen
from ..output.text import suggestion
from ..target.choose import chosen
from ..target.model import Choice, Target
from .client_forms import PROGRAMS, Endpoint, Program, merged

_INSIDE = re.compile(r"^http://[^/]+\.svc(?:\.[^/:]+)*(?::\d+)?/")  # a URL that exists in the cluster alone


async def client_config(choice: Choice, screen: Screen, *, client: str, install: bool, file: Path | None, stdio: bool) -> None:
    """Print the entry, or write it into the client's file. Raises: BadInputError; then the file is as it was."""
    program = PROGRAMS.get(client)
    if program is None:
        raise BadInputError(f"no client {client!r} is known: {suggestion(client, PROGRAMS)}")
    async with chosen(choice) as target:
        endpoint = await _endpoint(target, program, stdio=stdio)
    path = file or Path.home() / program.file
    if install:
        _install(program, endpoint, path)
        screen.note(f"{program.title}: {endpoint.name} is in {path}; restart the program")
    else:
        screen.lines([_text(program, merged(program, endpoint, {})).rstrip("\n")])
        screen.note(f"{program.title} reads it from {path}; --install writes it there")
    for note in _notes(program, endpoint):
        screen.note(note)


async def _endpoint(target: Target, program: Program, *, stdio: bool) -> Endpoint:
    url = str((await target.resource()).get("status", {}).get("url") or "")
    by_url = bool(url) and not stdio and program.remote is not None and not _INSIDE.match(url)
    variable = f"MCPGW_TOKEN_{re.sub('[^A-Z0-9]', '_', target.name.upper())}"
    token = (await target.token() or "") if by_url else ""
    own = (shutil.which("mcpgw") or "mcpgw", "connect", *shlex.split(target.place["mcpgw"]))
    return Endpoint(target.name, url if by_url else "", variable if token else "", token, own)


def _notes(program: Program, endpoint: Endpoint) -> list[str]:
    """What the user has to know beside the entry."""
    if not program.by_url(endpoint):
        return ["It runs `mcpgw connect`, which reads the token itself: there is no URL that the program could use from here"]
    if not endpoint.variable:
        return []
    if not program.reference:
        return [f"{program.title} resolves no references: the token itself is in it"]
    if "input:" in program.reference:
        return [f"{program.title} asks for the token once: `mcpgw token show` prints it"]
    return [f'Set the variable that it refers to: export {endpoint.variable}="$(mcpgw token show -g {endpoint.name})"']


def _install(program: Program, endpoint: Endpoint, path: Path) -> None:
    """Write the whole file beside the old one, keep that as a backup, and replace it in one step."""
    old = _read(path)
    text = _changed(program, endpoint, old, path)
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o600  # it may hold a token
    try:
        if old is not None:
            shutil.copy2(path, path.with_name(f"{path.name}.bak"))
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False) as fresh:
            fresh.write(text)
            fresh.flush()
            os.fsync(fresh.fileno())
        Path(fresh.name).chmod(mode)
        Path(fresh.name).replace(path.resolve())  # a link stays one
    except OSError as error:
        raise BadInputError(f"{path} cannot be written: {error.strerror}") from error


def _read(path: Path) -> str | None:
    try:
        return path.read_text()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(f"{path} cannot be read: {error}") from None


def _changed(program: Program, endpoint: Endpoint, old: str | None, path: Path) -> str:
    """The new text of the file. Raises: BadInputError, where something in it would be lost."""
    if program.syntax == "toml":
        return _appended(program, endpoint, old or "", path)
    content = _parsed(program, old, path) if old and old.strip() else {}
    servers = content.get(program.key) if isinstance(content, dict) else None
    if not isinstance(content, dict) or (servers and not isinstance(servers, list if program.listed else dict)):
        raise BadInputError(f"{path}: {program.key} is not what {program.title} reads: correct it, or add the entry by hand")
    return _text(program, merged(program, endpoint, content))


def _parsed(program: Program, text: str, path: Path) -> Any:
    by_hand = "leave out --install, and add what it prints by hand"
    if program.syntax == "yaml":
        import yaml

        if re.search(r"(^|\s)#", text):
            raise BadInputError(f"{path} has comments, which would be lost: {by_hand}")
        try:
            return yaml.safe_load(text)
        except yaml.YAMLError:
            raise BadInputError(f"{path} is not YAML: correct it") from None
    try:
        return json.loads(text)
    except ValueError as error:
        raise BadInputError(f"{path} is not plain JSON ({error}), and comments would be lost: {by_hand}") from None


def _appended(program: Program, endpoint: Endpoint, old: str, path: Path) -> str:
    """TOML is added to as text, so that everything else stays as it is."""
    try:
        content: Mapping[str, Any] = tomllib.loads(old)
    except tomllib.TOMLDecodeError as error:
        raise BadInputError(f"{path} is not TOML: {error}") from None
    if endpoint.name in (content.get(program.key) or {}):
        raise BadInputError(f"{path} has [{program.key}.{endpoint.name}] already: remove it, or give another --gateway")
    return f"{old.rstrip()}\n\n{_toml(program, endpoint)}".lstrip("\n")


def _text(program: Program, content: Mapping[str, Any]) -> str:
    if program.syntax == "json":
        return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    if program.syntax == "toml":
        (name,) = content[program.key]
        return _table(f"{program.key}.{name}", content[program.key][name])
    import yaml

    return yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True)


def _toml(program: Program, endpoint: Endpoint) -> str:
    return _table(f"{program.key}.{endpoint.name}", program.entry(endpoint))


def _table(name: str, fields: Mapping[str, Any]) -> str:
    """A table of texts and lists of texts: JSON's spelling of these is TOML's."""
    return "".join([f"[{name}]\n", *(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in fields.items())])
