"""Fields of client configurations, Compose files and pods, and what an MCPGateway has in their place.

Sources: the configuration references of Claude Desktop, VS Code, Cursor, Windsurf, Cline, Codex, Goose and LibreChat; the Compose
Specification; Kubernetes `Container` v1. Issue 16, L4.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any, Final

_DIRECTORY = "start the program in it: command: [sh, -c, 'cd DIRECTORY && exec PROGRAM']"
_TRANSPORT = "remove it: image stands for a program on stdio, url for a remote server"
_VARIABLES = "create a Secret from the file (kubectl create secret generic NAME --from-env-file=FILE) and list it in envFrom"
_URL = "write url"
_TIMEOUT = "write callTimeout, for example 60s"
_APPROVAL = "remove it: clients decide which calls they confirm; tools.allow and tools.deny decide which tools there are"
_ALLOWED = "write tools: {allow: […]}"
_DENIED = "write tools: {deny: […]}"
_COMMENT = "remove it, or make it a comment"
_FOLDERS = "write storage, a list of folders with mountPath"
_CREDENTIAL = "write headers: [{name: Authorization, valueFrom: {secretKeyRef: {name: SECRET, key: KEY}}}]"
_PROBE = "remove it: the gateway itself watches its servers"
_POD = "remove it: every pod of a server conforms to the Pod Security Standard restricted"

_SERVER: Final[Mapping[str, str]] = {
    **dict.fromkeys(("cwd", "workingDir", "workingDirectory", "working_dir", "workdir"), _DIRECTORY),
    **dict.fromkeys(("type", "transport", "transportType", "transport_type", "protocol"), _TRANSPORT),
    "disabled": "write state: Disabled, or remove it",
    "enabled": "write state: Enabled or state: Disabled",
    **dict.fromkeys(("envFile", "env_file", "dotenv"), _VARIABLES),
    **dict.fromkeys(("serverUrl", "httpUrl", "baseUrl", "uri", "endpoint", "sseUrl"), _URL),
    **dict.fromkeys(("timeout", "timeoutMs", "request_timeout", "requestTimeout", "tool_timeout_sec", "initTimeout"), _TIMEOUT),
    **dict.fromkeys(("autoApprove", "alwaysAllow", "trust", "auto_approve"), _APPROVAL),
    **dict.fromkeys(("allowedTools", "enabledTools", "enabled_tools", "includeTools", "available_tools"), _ALLOWED),
    **dict.fromkeys(("disabledTools", "disabled_tools", "excludeTools"), _DENIED),
    **dict.fromkeys(("description", "title", "displayName", "note", "comment", "icon", "iconPath", "version"), _COMMENT),
    **dict.fromkeys(("volumes", "volumeMounts", "mounts", "persistence"), _FOLDERS),
    **dict.fromkeys(("auth", "oauth", "authorization", "bearer_token_env_var", "bearerToken", "apiKey", "token"), _CREDENTIAL),
    **dict.fromkeys(("environment", "envs", "env_keys"), "write env: [{name: NAME, value: VALUE}]"),
    **dict.fromkeys(("entrypoint", "cmd", "program"), "write command: [PROGRAM, ARGUMENT, …]"),
    **dict.fromkeys(("arguments", "params"), "write args: [ARGUMENT, …]"),
    **dict.fromkeys(("ports", "port", "expose", "targetPort"), "remove it: clients connect to the gateway alone"),
    **dict.fromkeys(("livenessProbe", "readinessProbe", "startupProbe", "healthcheck", "restart", "restartPolicy"), _PROBE),
    **dict.fromkeys(("securityContext", "privileged", "hostNetwork", "user", "cap_add", "network", "networks"), _POD),
    **dict.fromkeys(
        ("inputs", "secrets"), "write each as env: [{name: NAME, valueFrom: {secretKeyRef: {name: SECRET, key: KEY}}}]"
    ),
}
_SPEC: Final[Mapping[str, str]] = {
    **dict.fromkeys(("mcpServers", "mcp_servers", "context_servers", "extensions"), "write servers, a list of {name: NAME, …}"),
    **dict.fromkeys(("inputs", "secrets"), "put the values into a Secret and refer to it with valueFrom: {secretKeyRef: …}"),
    **dict.fromkeys(("hostNetwork", "securityContext", "hostPID", "serviceAccountName"), _POD),
    **dict.fromkeys(("port", "ports", "nodePort"), "write service: {port: 8811}"),
    **dict.fromkeys(("tokens", "token"), "write auth: {tokens: [{name: NAME, secretKeyRef: {name: SECRET, key: KEY}}]}"),
    "allowUnauthenticated": "write auth: {allowUnauthenticated: true}",
}
_SOURCE: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        ("secretKeyRef", "configMapKeyRef"), "put it under valueFrom: valueFrom: {secretKeyRef: {name: SECRET, key: KEY}}"
    ),
    "default": "write value",
}
_NAMED: Final = {
    ("spec",): _SPEC,
    ("spec", "servers"): _SERVER,
    ("spec", "servers", "env"): _SOURCE,
    ("spec", "servers", "headers"): _SOURCE,
}


def unknown_field(place: tuple[str, ...], name: str, fields: Mapping[str, Any]) -> str:
    """What to write in place of a field that is not in the schema.

    Args: place: path of its object, without indexes. fields: the fields that the object has in the schema.
    """
    fix = _NAMED.get(place, {}).get(name)
    similar = _similar(name, fields)
    if similar is None and fix is not None:
        return fix
    if similar is not None:
        return f"did you mean {similar}?"
    return "remove it, or use one of " + ", ".join(sorted(fields))


def foreign_names() -> Iterator[tuple[tuple[str, ...], str]]:
    """Every (place, field) with a fix of its own."""
    for place, names in _NAMED.items():
        for name in names:
            yield place, name


def _similar(name: str, fields: Mapping[str, Any]) -> str | None:
    """The field of the same letters, else the closest one by spelling."""
    plain = {_plain(field): field for field in fields}
    if _plain(name) in plain:
        return plain[_plain(name)]
    close = difflib.get_close_matches(_plain(name), plain, n=1, cutoff=0.8)
    return plain[close[0]] if close else None


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())
