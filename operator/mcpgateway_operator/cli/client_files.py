"""Where programs keep their MCP servers on this machine (Linux). Sources: the documentation of each program."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

_HOME: Final[Mapping[str, tuple[str, ...]]] = {  # program → files below the home folder
    "Claude Code": (".claude.json", ".claude/.mcp.json"),
    "Claude Desktop": (".config/Claude/claude_desktop_config.json",),
    "VS Code": (".config/Code/User/mcp.json", ".config/Code/User/settings.json", ".vscode-server/data/User/mcp.json"),
    "VS Code Insiders": (".config/Code - Insiders/User/mcp.json",),
    "VSCodium": (".config/VSCodium/User/mcp.json",),
    "Cursor": (".cursor/mcp.json",),
    "Windsurf": (".codeium/windsurf/mcp_config.json",),
    "Cline": (".config/Code/User/globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json",),
    "Roo Code": (".config/Code/User/globalStorage/rooveterinaryinc.roo-cline/settings/mcp_settings.json",),
    "Kiro": (".kiro/settings/mcp.json",),
    "Zed": (".config/zed/settings.json",),
    "Codex": (".codex/config.toml",),
    "Gemini CLI": (".gemini/settings.json",),
    "Goose": (".config/goose/config.yaml",),
    "opencode": (".config/opencode/opencode.json",),
    "Amp": (".config/amp/settings.json",),
    "Amazon Q": (".aws/amazonq/mcp.json",),
    "LM Studio": (".lmstudio/mcp.json",),
    "Continue": (".continue/config.yaml",),
    "Crush": (".config/crush/crush.json",),
    "Copilot CLI": (".copilot/mcp-config.json",),
}
_PROJECT: Final = (  # below the current folder
    ".mcp.json",
    ".cursor/mcp.json",
    ".vscode/mcp.json",
    ".roo/mcp.json",
    ".kiro/settings/mcp.json",
    ".gemini/settings.json",
    "opencode.json",
    ".zed/settings.json",
)


def client_files(home: Path, project: Path) -> list[tuple[str, Path]]:
    """The files that exist, each once, with their programs."""
    places = [(program, home / name) for program, names in _HOME.items() for name in names]
    places += [("this project", project / name) for name in _PROJECT]
    return list({path.resolve(): (program, path) for program, path in places if path.is_file()}.values())
