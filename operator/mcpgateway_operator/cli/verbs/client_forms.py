"""How each MCP client writes down a server: by URL with a token that is a reference where the program can resolve one, or as a
command (`mcpgw connect`), which needs neither URL nor token. Pure.

Sources: the documentation of each program; `importing/clients.py` reads the same forms.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

Entry = dict[str, Any]
Syntax = Literal["json", "toml", "yaml"]


@dataclass(frozen=True)
class Endpoint:
    """A gateway as a client reaches it."""

    name: str
    url: str  # empty: by command alone
    variable: str  # environment variable with the token; empty if clients need none
    token: str  # its value, for programs that resolve no reference
    command: tuple[str, ...]


@dataclass(frozen=True)
class Program:
    """One client. `key` is the key below which its servers are; `reference` is how it refers to a variable, if it can."""

    title: str
    file: str  # below the home folder
    key: str
    remote: Callable[[Endpoint, Mapping[str, str]], Entry] | None  # None: it knows stdio alone
    stdio: Callable[[Endpoint], Entry]
    reference: str = ""  # with {0} for the variable
    syntax: Syntax = "json"
    listed: bool = False  # the servers are a list with names, not a map
    beside: Callable[[Endpoint], Entry] = lambda endpoint: {}  # further top-level keys

    def headers(self, endpoint: Endpoint) -> dict[str, str]:
        """The header with the token, or with a reference to it."""
        if not endpoint.variable:
            return {}
        return {"Authorization": f"Bearer {self.reference.format(endpoint.variable) if self.reference else endpoint.token}"}

    def entry(self, endpoint: Endpoint) -> Entry:
        """The server as this program writes it."""
        if endpoint.url and self.remote is not None:
            return self.remote(endpoint, self.headers(endpoint))
        return self.stdio(endpoint)

    def by_url(self, endpoint: Endpoint) -> bool:
        """Whether the entry has the URL, and a token is needed."""
        return bool(endpoint.url and self.remote is not None)


def _url(url: str = "url", **more: Any) -> Callable[[Endpoint, Mapping[str, str]], Entry]:
    def entry(endpoint: Endpoint, headers: Mapping[str, str]) -> Entry:
        return {**more, url: endpoint.url, **({"headers": dict(headers)} if headers else {})}

    return entry


def _command(**more: Any) -> Callable[[Endpoint], Entry]:
    def entry(endpoint: Endpoint) -> Entry:
        return {**more, "command": endpoint.command[0], "args": list(endpoint.command[1:])}

    return entry


def _codex(endpoint: Endpoint, headers: Mapping[str, str]) -> Entry:
    return {"url": endpoint.url, **({"bearer_token_env_var": endpoint.variable} if endpoint.variable else {})}


def _goose(endpoint: Endpoint, headers: Mapping[str, str]) -> Entry:
    more = {"headers": dict(headers), "env_keys": [endpoint.variable]} if headers else {}
    return {"enabled": True, "type": "streamable_http", "name": endpoint.name, "uri": endpoint.url, "timeout": 300, **more}


def _goose_command(endpoint: Endpoint) -> Entry:
    command, *args = endpoint.command
    return {"enabled": True, "type": "stdio", "name": endpoint.name, "cmd": command, "args": args, "timeout": 300}


def _opencode_command(endpoint: Endpoint) -> Entry:
    return {"type": "local", "command": list(endpoint.command), "enabled": True}


def _continue(endpoint: Endpoint, headers: Mapping[str, str]) -> Entry:
    more = {"requestOptions": {"headers": dict(headers)}} if headers else {}
    return {"name": endpoint.name, "type": "streamable-http", "url": endpoint.url, **more}


def _continue_command(endpoint: Endpoint) -> Entry:
    return {"name": endpoint.name, **_command(type="stdio")(endpoint)}


def _inputs(endpoint: Endpoint) -> Entry:
    """VS Code asks for the token once, and keeps it in the keychain."""
    if not (endpoint.url and endpoint.variable):
        return {}
    words = f"Token of the MCP gateway {endpoint.name}"
    return {"inputs": [{"type": "promptString", "id": endpoint.variable, "description": words, "password": True}]}


_MAP: Final = "mcpServers"
PROGRAMS: Final[Mapping[str, Program]] = {
    "amp": Program("Amp", ".config/amp/settings.json", "amp.mcpServers", _url(), _command(), "${{{0}}}"),
    "claude-code": Program("Claude Code", ".claude.json", _MAP, _url(type="http"), _command(type="stdio"), "${{{0}}}"),
    "claude-desktop": Program("Claude Desktop", ".config/Claude/claude_desktop_config.json", _MAP, None, _command()),
    "cline": Program(
        "Cline",
        ".config/Code/User/globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json",
        _MAP,
        _url(type="streamableHttp"),
        _command(type="stdio"),
    ),
    "codex": Program("Codex", ".codex/config.toml", "mcp_servers", _codex, _command(), "{0}", syntax="toml"),
    "continue": Program(
        "Continue",
        ".continue/config.yaml",
        _MAP,
        _continue,
        _continue_command,
        "${{{{ secrets.{0} }}}}",
        syntax="yaml",
        listed=True,
    ),
    "copilot-cli": Program(
        "GitHub Copilot CLI",
        ".copilot/mcp-config.json",
        _MAP,
        _url(type="http", tools=["*"]),
        _command(type="local", tools=["*"]),
        "${{{0}}}",
    ),
    "crush": Program("Crush", ".config/crush/crush.json", "mcp", _url(type="http"), _command(type="stdio"), "${0}"),
    "cursor": Program("Cursor", ".cursor/mcp.json", _MAP, _url(), _command(), "${{env:{0}}}"),
    "gemini-cli": Program("Gemini CLI", ".gemini/settings.json", _MAP, _url("httpUrl"), _command(), "${{{0}}}"),
    "goose": Program("Goose", ".config/goose/config.yaml", "extensions", _goose, _goose_command, "${{{0}}}", syntax="yaml"),
    "kiro": Program("Kiro", ".kiro/settings/mcp.json", _MAP, _url(), _command(), "${{{0}}}"),
    "lm-studio": Program("LM Studio", ".lmstudio/mcp.json", _MAP, _url(), _command()),
    "opencode": Program(
        "opencode",
        ".config/opencode/opencode.json",
        "mcp",
        _url(type="remote", enabled=True),
        _opencode_command,
        "{{env:{0}}}",
    ),
    "roo-code": Program(
        "Roo Code",
        ".config/Code/User/globalStorage/rooveterinaryinc.roo-cline/settings/mcp_settings.json",
        _MAP,
        _url(type="streamable-http"),
        _command(type="stdio"),
        "${{env:{0}}}",
    ),
    "vscode": Program(
        "VS Code",
        ".config/Code/User/mcp.json",
        "servers",
        _url(type="http"),
        _command(type="stdio"),
        "${{input:{0}}}",
        beside=_inputs,
    ),
    "windsurf": Program("Windsurf", ".codeium/windsurf/mcp_config.json", _MAP, _url("serverUrl"), _command(), "${{env:{0}}}"),
    "zed": Program("Zed", ".config/zed/settings.json", "context_servers", _url(), _command()),
}


def merged(program: Program, endpoint: Endpoint, content: Mapping[str, Any]) -> dict[str, Any]:
    """A program's configuration with the gateway in it, in place of an entry of the same name. Everything else stays."""
    result = dict(content)
    for key, added in program.beside(endpoint).items():
        kept = [item for item in result.get(key) or () if not (isinstance(item, dict) and item.get("id") == added[0]["id"])]
        result[key] = [*kept, *added]
    key = program.key
    if program.listed:
        others = [item for item in result.get(key) or () if not (isinstance(item, dict) and item.get("name") == endpoint.name)]
        result[key] = [*others, program.entry(endpoint)]
    else:
        result[key] = {**(result.get(key) or {}), endpoint.name: program.entry(endpoint)}
    return result
