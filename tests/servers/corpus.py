"""Public MCP servers of many languages, SDKs and authors: what is started, and the call whose answer is compared.

Each is installed with pinned versions and hashes (tests.servers.installed). None gets network or credentials: the calls are those
whose answers are the same each time without, among them some that fail.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Source = Literal["pypi sdk-1", "pypi sdk-2", "npm", "npm reference", "go", "crates.io", "maven"]

NOWHERE = "http://127.0.0.1:1"  # nothing listens there


@dataclass(frozen=True, eq=False)
class PublicServer:
    """One server. In its arguments and environment `{folder}` stands for a folder with `hello.txt`, which is a git repository."""

    name: str  # in the gateway
    package: str
    sdk: str
    source: Source
    tool: str
    call: Mapping[str, Any] = field(default_factory=dict)  # arguments of the call that is compared
    program: str = ""  # the script of a package from PyPI, a file of one from npm, a main class; else the package's only one
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


def _python1(name: str, package: str, tool: str, call: Mapping[str, Any], program: str = "", **more: Any) -> PublicServer:
    return PublicServer(name, package, "Python SDK 1", "pypi sdk-1", tool, call, program or package, **more)


def _python2(name: str, package: str, tool: str, call: Mapping[str, Any], program: str = "", **more: Any) -> PublicServer:
    return PublicServer(name, package, "Python SDK 2", "pypi sdk-2", tool, call, program or package, **more)


def _node(name: str, package: str, tool: str, call: Mapping[str, Any] | None = None, **more: Any) -> PublicServer:
    return PublicServer(name, package, **{"sdk": "TypeScript SDK 1", "source": "npm", "tool": tool, "call": call or {}, **more})


def _reference(name: str, package: str, tool: str, call: Mapping[str, Any], **more: Any) -> PublicServer:
    return _node(name, f"@modelcontextprotocol/{package}", tool, call, **{"source": "npm reference", **more})


def _go(name: str, program: str, sdk: str, tool: str, call: Mapping[str, Any]) -> PublicServer:
    return PublicServer(name, program, sdk, "go", tool, call, program.rpartition("/examples/")[2])


_GO_SDK = "github.com/modelcontextprotocol/go-sdk/examples/server"
_MCP_GO = "github.com/mark3labs/mcp-go/examples"
_SCRIPT = {"code": "console.log(6 * 7)", "languageId": "javascript"}
_THOUGHT = {"thought": "one", "nextThoughtNeeded": False, "thoughtNumber": 1, "totalThoughts": 1}
_SETS_IN_ORDER = {"PYTHONHASHSEED": "0"}  # it lists Python sets in its description
_REPOSITORY = {"repo_path": "{folder}", "max_count": 1}

CORPUS: tuple[PublicServer, ...] = (
    _python1("abacus", "mcp-abacus", "calculate", {"expression": "1/3 + 1/6"}),
    _python1("bytesmith", "mcp-bytesmith", "hash", {"data": "grüße", "algorithm": "sha256"}),
    _python1("calculator", "mcp-server-calculator", "calculate", {"expression": "2**200"}),
    _python1("cli", "cli-mcp-server", "show_security_rules", {}, environment={"ALLOWED_DIR": "{folder}", **_SETS_IN_ORDER}),
    _python1("duckdb", "mcp-server-duckdb", "query", {"query": "SELECT 42 AS answer"}, arguments=("--db-path", ":memory:")),
    _python1("duckduckgo", "duckduckgo-mcp-server", "search", {"query": "x", "max_results": "many"}),
    _python1("excel", "excel-mcp-server", "create_workbook", {"filepath": "{folder}/a.xlsx"}, arguments=("stdio",)),
    _python1("redis", "redis-mcp-server", "get", {"key": "a"}, arguments=("--url", "redis://127.0.0.1:1/0")),
    _python1("shell", "mcp-shell-server", "shell_execute", {"command": ["rm"], "directory": "{folder}"}),
    _python1("sqlite", "mcp-server-sqlite", "read_query", {"query": "SELECT 1.5 AS x"}, arguments=("--db-path", "{folder}/s.db")),
    _python1("texteditor", "mcp-text-editor", "get_text_file_contents", {"files": [{"file_path": "{folder}/hello.txt"}]}),
    _python1(
        "timeserver", "mcp-simple-timeserver", "calculate_time_distance", {"from_date": "2026-01-01", "to_date": "2026-03-01"}
    ),
    _python1("wikipedia", "wikipedia-mcp", "get_article", {}),
    _python1("word", "office-word-mcp-server", "get_document_text", {"filename": "{folder}/absent.docx"}, "word_mcp_server"),
    _python2("alchemy", "mcp-alchemy", "all_table_names", {}, environment={"DB_URL": "sqlite:///{folder}/alchemy.db"}),
    _python2("argocd", "mcp-argocd", "argocd_get_application", {}, environment={"ARGOCD_URL": NOWHERE, "ARGOCD_TOKEN": "x"}),
    _python2("fetch", "mcp-server-fetch", "fetch", {"url": "x"}),
    _python2("git", "mcp-server-git", "git_log", _REPOSITORY),
    _python2("gitlab", "mcp-gitlab", "gitlab_get_project", {}, environment={"GITLAB_URL": NOWHERE, "GITLAB_TOKEN": "x"}),
    _python2(
        "kubectl", "kubectl-mcp-server", "kubectl_get", {}, "kubectl-mcp", environment={"KUBECONFIG": "{folder}/kubeconfig"}
    ),
    _python2(
        "time", "mcp-server-time", "convert_time", {"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo"}
    ),
    _reference("everything", "server-everything", "get-sum", {"a": 20, "b": 22}, arguments=("stdio",)),
    _reference("filesystem", "server-filesystem", "read_text_file", {"path": "{folder}/hello.txt"}, arguments=("{folder}",)),
    _reference("memory", "server-memory", "read_graph", {}, environment={"MEMORY_FILE_PATH": "{folder}/memory.jsonl"}),
    _node("airtable", "airtable-mcp-server", "list_tables", environment={"AIRTABLE_API_KEY": "pat.x"}),
    _node("brave", "@brave/brave-search-mcp-server", "brave_web_search", environment={"BRAVE_API_KEY": "x"}),
    _node("chart", "@antv/mcp-server-chart", "generate_bar_chart", {"data": "x"}),
    _node("chrome", "chrome-devtools-mcp", "click", environment={"CHROME_DEVTOOLS_MCP_NO_USAGE_STATISTICS": "1"}),
    _node("coderunner", "mcp-server-code-runner", "run-code", _SCRIPT),
    _node("eslint", "@eslint/mcp", "lint-files", {"filePaths": []}),
    _node("exa", "exa-mcp-server", "web_search_exa", environment={"EXA_API_KEY": "x"}),
    _node("figma", "figma-developer-mcp", "get_figma_data", arguments=("--stdio",), environment={"FIGMA_API_KEY": "x"}),
    _node("firecrawl", "firecrawl-mcp", "firecrawl_map", environment={"FIRECRAWL_API_KEY": "x"}),
    _node("gitserver", "@cyanheads/git-mcp-server", "git_branch", {"path": "{folder}", "mode": "list"}),
    _node("hello", "mcp-hello-world", "add", {"a": 1, "b": 2}),
    _node("kubernetes", "mcp-server-kubernetes", "cleanup", environment={"KUBECONFIG": "{folder}/kubeconfig"}),
    _node("notion", "@notionhq/notion-mcp-server", "API-get-user"),
    _node("playwright", "@playwright/mcp", "browser_navigate"),
    _node("searxng", "mcp-searxng", "searxng_web_search", environment={"SEARXNG_URL": NOWHERE}),
    _node("tavily", "tavily-mcp", "tavily_search", environment={"TAVILY_API_KEY": "x"}),
    _reference("thinking", "server-sequential-thinking", "sequentialthinking", _THOUGHT, source="npm"),
    _node("context7", "@upstash/context7-mcp", "resolve-library-id", sdk="TypeScript SDK 2"),
    _node("mongodb", "mongodb-mcp-server", "count", sdk="TypeScript SDK 2", environment={"MDB_MCP_TELEMETRY": "disabled"}),
    _node(
        "k8s",
        "kubernetes-mcp-server-linux-amd64",
        "configuration_view",
        sdk="Go SDK",
        program="bin/kubernetes-mcp-server-linux-amd64",
        arguments=("--kubeconfig", "{folder}/kubeconfig"),
    ),
    _node("cron", "mcp-cron-linux-amd64", "list_tasks", sdk="Go SDK", program="bin/mcp-cron", arguments=("--transport", "stdio")),
    _node(
        "prometheus",
        "mcp-prometheus-linux-amd64",
        "query",
        {"promql": "up"},
        sdk="Go SDK",
        program="bin/mcp-prometheus-linux-amd64",
        environment={"PROMETHEUS_URL": NOWHERE},
    ),
    _go("goeverything", f"{_GO_SDK}/everything", "Go SDK", "greet", {"name": "Zoë"}),
    _go("gomemory", f"{_GO_SDK}/memory", "Go SDK", "read_graph", {}),
    _go("gothinking", f"{_GO_SDK}/sequentialthinking", "Go SDK", "review_thinking", {"sessionId": "absent"}),
    _go("mcpgo", f"{_MCP_GO}/everything", "mcp-go", "echo", {"message": "grüße"}),
    _go("typed", f"{_MCP_GO}/typed_tools", "mcp-go", "greeting", {"name": "Zoë", "age": 7, "is_vip": False, "languages": []}),
    PublicServer("rmcp", "rmcp", "Rust SDK", "crates.io", "echo", {"text": "grüße"}),
    _node(
        "cortex",
        "@temporal-cortex/cortex-mcp-linux-x64",
        "compute_duration",
        {"start": "2026-01-01T00:00:00Z", "end": "2026-03-01T00:00:00Z"},
        sdk="Rust SDK",
        program="bin/cortex-mcp",
        environment={"TIMEZONE": "UTC", "HOME": "{folder}"},
    ),
    _node("leanspec", "@leanspec/mcp-linux-x64", "get_spec", {"id": "absent"}, sdk="none (Rust)", program="leanspec-mcp"),
    _node("azure", "@azure/mcp-template-linux-x64", "absent", sdk="C# SDK", program="dist/mcptmp", arguments=("server", "start")),
    PublicServer("java", "io.modelcontextprotocol.sdk:mcp", "Java SDK", "maven", "echo", {"text": "grüße"}, "JavaServer"),
    PublicServer(
        "kotlin",
        "io.modelcontextprotocol:kotlin-sdk-server-jvm",
        "Kotlin SDK",
        "maven",
        "echo",
        {"text": "grüße"},
        "KotlinServerKt",
    ),
)
