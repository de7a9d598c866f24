"""One server of a client's configuration → a neutral one, and what the report says of it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from ..api.confidential import looks_secret
from .launch import Launch, environment, launch
from .model import Entry, Folder, RefusedError, Report, Server, Setting
from .names import variable_name
from .values import expressions, is_secret_name, is_stand_in, pairs, scalar, setting, settings

_URLS: Final = ("url", "serverUrl", "httpUrl", "uri", "endpoint", "baseUrl", "sseUrl", "link")
_ENVS: Final = ("env", "envs", "environment", "env_vars")
_HEADERS: Final = ("headers", "http_headers", "requestHeaders", "env_http_headers")
_TOOLS: Final = ("allowedTools", "enabled_tools", "includeTools", "available_tools")
_HIDDEN: Final = ("disabledTools", "disabled_tools", "excludeTools")
_PROGRAM: Final = (
    "command",
    "cmd",
    "args",
    "arguments",
    "cwd",
    "envFile",
    "env_file",
    "type",
    "transport",
    "transportType",
    "source",
)
_OTHERS: Final = ("env_keys", "requestOptions", "disabled", "enabled", "timeout", "tool_timeout_sec", "bearer_token_env_var")
_ABOUT: Final = ("name", "description", "title", "gallery", "version", "bundled")
_CARRIED: Final = frozenset({*_URLS, *_ENVS, *_HEADERS, *_TOOLS, *_HIDDEN, *_PROGRAM, *_OTHERS, *_ABOUT})
_CLIENT_FOLDER = r"\$\{(?:workspaceFolder|workspaceRoot|userHome)[^}]*\}"
_CLIENT_PATH = re.compile(rf"{_CLIENT_FOLDER}[^\s,;:\"']*")
_MACHINE_PATH = re.compile(
    r"(?<![\w/.:~-])(?:~(?=/|$)|\$\{?HOME\}?|/(?:Users|home|root|mnt/[a-z])(?=/|$)|[A-Za-z]:[\\/](?!/)"
    rf"|{_CLIENT_FOLDER})[^\s,;:\"']*"
)
_DATA: Final = "/data"


def convert(entry: Entry, report: Report) -> Server:
    """A neutral server. Raises: RefusedError, if it cannot be converted."""
    fields = entry.fields
    transport = fields.get("transport")
    if isinstance(transport, Mapping):  # the transport as an object
        fields = {**transport, **{name: value for name, value in fields.items() if name != "transport"}}
    url = next((scalar(fields[name]) for name in _URLS if fields.get(name)), "")
    command = fields.get("command") or fields.get("cmd")
    if not url and not command:
        raise RefusedError(_without_program(fields))
    server = _remote(entry, fields, url, report) if url else _program(entry, fields, command, report)
    for name in sorted({str(name) for name in fields} - _CARRIED):
        report.add("dropped", entry.name, f"{name}: a setting of the client")
    return server


def _without_program(fields: Mapping[str, Any]) -> str:
    kind = scalar(fields.get("type"))
    if kind in ("builtin", "platform", "frontend"):
        return f"is part of the client itself (type: {kind}): nothing runs it outside"
    if "settings" in fields:
        return "is an extension of the editor, whose program is not in the configuration: write its command, or image"
    return "has neither command nor url: give one of them"


def _remote(entry: Entry, fields: Mapping[str, Any], url: str, report: Report) -> Server:
    options = fields.get("requestOptions")  # Continue
    within = options.get("headers") if isinstance(options, Mapping) else None
    values = next((fields[name] for name in _HEADERS if fields.get(name)), within)
    headers = list(settings(values, entry.inputs))
    if token := scalar(fields.get("bearer_token_env_var")):
        headers.append(Setting("Authorization", hint=f"Bearer VALUE, where VALUE is {token}"))
    return _common(entry, fields, report, url=_clean_url(entry, url, report), headers=tuple(headers))


def _clean_url(entry: Entry, url: str, report: Report) -> str:
    """A URL without secrets and expressions. Raises: RefusedError."""
    parts = urlsplit_or_refuse(url)
    if is_stand_in(parts.netloc) or "$" in parts.netloc or not parts.hostname:
        raise RefusedError(f"has the URL {url!r}, whose host is not given: write it")
    if parts.username or parts.password:
        report.add(
            "step", entry.name, "its URL had a user and a password: add a header Authorization with a value from the Secret"
        )
    host = parts.netloc.rpartition("@")[2]
    query = parse_qsl(parts.query, keep_blank_values=True)
    kept = [(name, value) for name, value in query if not (is_secret_name(name) or looks_secret(value) or is_stand_in(value))]
    for name in [name for name, _ in query if name not in dict(kept)]:
        report.add("step", entry.name, f"its URL had {name}=…, which is a secret: give it as a header, if the server takes one")
    if parts.hostname in ("localhost", "127.0.0.1", "::1", "0.0.0.0", "host.docker.internal"):  # noqa: S104 - a comparison
        report.add("step", entry.name, f"{host} is this machine: in a cluster, write a URL that its pods can reach")
    return str(urlunsplit((parts.scheme, host, parts.path or "/", urlencode(kept), "")))


def urlsplit_or_refuse(url: str) -> Any:
    """The parts of an http(s) URL. Raises: RefusedError."""
    try:
        parts = urlsplit(url)
        _ = parts.hostname, parts.port
    except ValueError:
        raise RefusedError(f"has the URL {url!r}, which is none: write http(s)://HOST[:PORT][/PATH]") from None
    if parts.scheme not in ("http", "https"):
        raise RefusedError(f"has the URL {url!r}: only http and https are supported")
    return parts


def _program(entry: Entry, fields: Mapping[str, Any], command: Any, report: Report) -> Server:
    args = fields.get("args") or fields.get("arguments") or []
    if isinstance(command, Mapping):  # Zed: command is an object
        fields, args, command = {**fields, **command}, command.get("args") or args, command.get("path") or command.get("command")
    words = [scalar(word) for word in (command if isinstance(command, list) else [command])]
    words += [scalar(word) for word in (args if isinstance(args, list) else [args])]
    launched = launch([word for word in words if word])
    own = dict(_pairs_of(fields))
    if launched.url:
        return _from_shim(entry, fields, launched, own, report)
    values = (
        environment(launched, own) if launched.image else own | {name: value for name, value in launched.env if value is not None}
    )
    env = {name: setting(name, value, entry.inputs) for name, value in values.items()}
    args_out = _arguments(entry, launched.args, env, report)
    command_out, folders = launched.command, tuple(launched.folders)
    if launched.local:
        command_out, args_out = _in_directory(scalar(fields.get("cwd")), command_out, args_out)
    pattern = _CLIENT_PATH if launched.local else _MACHINE_PATH
    args_out, folders = _own_folders(entry, args_out, env, report, folders=folders, pattern=pattern)
    _note_launch(entry, launched, report)
    if file := scalar(fields.get("envFile") or fields.get("env_file")):
        report.add("step", entry.name, f"put the variables of {file} into a Secret, and add it to envFrom")
    if launched.image and not launched.command:
        report.add("step", entry.name, f"write the command of {launched.image}: `docker image inspect` shows Entrypoint and Cmd")
    return _common(
        entry,
        fields,
        report,
        package=launched.package,
        image=launched.image,
        command=command_out,
        args=args_out,
        env=tuple(env.values()),
        folders=folders,
        run_as_user=int(launched.user) if launched.user.isdigit() and int(launched.user) > 0 else None,
    )


def _in_directory(directory: str, command: tuple[str, ...], args: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """A command line that begins in a directory."""
    if not directory or is_stand_in(directory):
        return command, args
    return ("sh", "-c", 'cd "$0" && exec "$@"', directory), (*command, *args)


def _pairs_of(fields: Mapping[str, Any]) -> list[tuple[str, Any]]:
    keys = fields.get("env_keys")  # Goose: variables whose values it keeps in the keyring
    named = [(key, f"${{{key}}}") for key in keys if isinstance(key, str)] if isinstance(keys, list) else []
    return [*pairs(next((fields[name] for name in _ENVS if fields.get(name)), None)), *named]


def _from_shim(entry: Entry, fields: Mapping[str, Any], launched: Launch, own: Mapping[str, Any], report: Report) -> Server:
    report.add("changed", entry.name, "the program that connected to its URL is not needed: the gateway connects by itself")
    headers = []
    for name, text in launched.headers:
        filled = setting(name, text, entry.inputs)
        given = [variable for variable in expressions(text) if variable in own]
        headers.append(Setting(name, hint=filled.hint or name) if given else filled)
    _note_launch(entry, launched, report)
    return _common(entry, fields, report, url=_clean_url(entry, launched.url, report), headers=tuple(headers))


def _note_launch(entry: Entry, launched: Launch, report: Report) -> None:
    for text in launched.moved:
        report.add("changed", entry.name, text)
    for text in launched.dropped:
        report.add("dropped", entry.name, text)
    for text in launched.steps:
        report.add("step", entry.name, text)


def _arguments(entry: Entry, words: tuple[str, ...], env: dict[str, Setting], report: Report) -> tuple[str, ...]:
    """The arguments, with $(NAME) for secrets and for the client's expressions; their variables are added to `env`."""
    out: list[str] = []
    for word in words:
        flag, equals, value = word.partition("=") if re.match(r"--?[A-Za-z][^\s=]*=", word) else ("", "", word)
        before = out[-1] if out and out[-1].startswith("-") and not equals else ""
        name = variable_name((flag or before).lstrip("-").upper())
        machine = _MACHINE_PATH.fullmatch(value) is not None
        secret = looks_secret(value, name=name) or (bool(flag or before) and is_secret_name(name) and not value.startswith("-"))
        if value and not machine and (secret or is_stand_in(value)):
            own = [variable for variable in expressions(value) if variable in env]
            name = own[0] if own else name if name.strip("_") else f"ARGUMENT_{len(out) + 1}"
            env.setdefault(name, Setting(name, hint=f"the value of {flag or before or 'an argument'}"))
            report.add(
                "changed", entry.name, f"the argument {flag or before or len(out) + 1} takes its value from the variable {name}"
            )
            value = f"$({name})"
        else:
            value = value.replace("$(", "$$(")
        out.append(f"{flag}={value}" if equals and flag else value)
    return tuple(out)


def _own_folders(
    entry: Entry,
    args: tuple[str, ...],
    env: dict[str, Setting],
    report: Report,
    *,
    folders: tuple[Folder, ...],
    pattern: re.Pattern[str],
) -> tuple[tuple[str, ...], tuple[Folder, ...]]:
    """Paths of this machine in arguments and variables become paths in a folder of the server's own."""
    moved: dict[str, str] = {}

    def replaced(match: re.Match[str]) -> str:
        base = re.split(r"[/\\]", match[0].rstrip("/\\}"))[-1]
        plain = re.sub(r"[^A-Za-z0-9._-]", "", base)
        file = "." in plain.strip(".")
        moved[match[0]] = f"{_DATA}/{plain}" if file else _DATA
        return moved[match[0]]

    if any(folder.path == _DATA for folder in folders):
        return args, folders
    args = tuple(pattern.sub(replaced, word) for word in args)
    for name, value in list(env.items()):
        if value.value and pattern.search(value.value):
            env[name] = Setting(name, pattern.sub(replaced, value.value))
    for source, path in moved.items():
        report.add("changed", entry.name, f"{source} of this machine is {path} in storage of its own: copy what it needs there")
    return args, (*folders, Folder(_DATA)) if moved else folders


def _common(entry: Entry, fields: Mapping[str, Any], report: Report, **program: Any) -> Server:
    """What remote servers and programs have in common."""
    disabled = fields.get("disabled") is True or fields.get("enabled") is False
    allow = _texts(fields, *_TOOLS)
    deny = _texts(fields, *_HIDDEN)
    return Server(
        name=entry.name,
        disabled=disabled,
        call_timeout=_timeout(fields.get("timeout") or fields.get("tool_timeout_sec")),
        allow=() if "*" in allow else allow,
        deny=deny,
        **program,
    )


def _texts(fields: Mapping[str, Any], *names: str) -> tuple[str, ...]:
    values: list[Any] = next((fields[name] for name in names if isinstance(fields.get(name), list)), [])
    return tuple(dict.fromkeys(value for value in values if isinstance(value, str) and re.fullmatch(r"\S{1,128}", value)))[:64]


def _timeout(value: Any) -> str:
    """A duration: clients write seconds, or milliseconds, which are the numbers from 1000 on."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= 86_400_000:
        return ""
    return f"{int(value / 1000) if value >= 1000 else int(value)}s"
