"""The import contracts of pyproject.toml: an import that the design forbids, put into any package, breaks the right one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

# The design's packages, highest first: each may import only those below it.
LAYERS = {
    "mcpgateway": ("gateway", "edge", "requests", "streams", "access", "upstream", "catalog", "protocol", "runtime"),
    "mcpgateway_operator": ("process", "kube", "reconcile", "observe", "render", "api"),
}
BESIDE = {
    "serving": "kube",
    "cli": "reconcile",
    "importing": "observe",
}  # packages of the same layer, which may not import each other
GATEWAY_LIBRARIES = {"uvicorn": ("edge",), "starlette": ("edge",), "aiohttp": ("upstream.http",)}
IO = ("aiohttp", "prometheus_client", "socket", "ssl", "http", "subprocess")  # of libraries that do it, those in use here
NOT_IN_GATEWAY = ("mcpgateway_operator", "mcp", "mcp_types", "pydantic", "kopf", "kubernetes")
CLI_LAYERS = ("gateway_commands", "token_commands", "options", "verbs", "mcp_client", "target", "cluster", "output")
SDK = ("mcp", "mcp_types", "httpx2")
CONTRACTS = {
    "cli": "mcpgw: arrows run down",
    "sdk": "only cli.mcp_client imports the MCP SDK",
    "mcpgateway": "gateway: arrows run down",
    "mcpgateway_operator": "operator: arrows run down",
    "uvicorn": "uvicorn and starlette are for the edge and the root",
    "starlette": "uvicorn and starlette are for the edge and the root",
    "aiohttp": "only upstream.http imports aiohttp",
    "client": "only kube imports kopf and kubernetes",
    "io": "api, render, reconcile and importing do no I/O",
    "gateway": "of the gateway, the operator imports its configuration alone",
    "foreign": "the gateway imports nothing of the operator, the MCP SDK, pydantic or a Kubernetes client",
}
SOURCES = {"mcpgateway": "gateway", "mcpgateway_operator": "operator"}
PACKAGES = sorted(
    ".".join(init.parent.relative_to(ROOT / folder).parts)
    for program, folder in SOURCES.items()
    for init in (ROOT / folder / program).rglob("__init__.py")
    if init.parent.name != program
)


def forbidden(package: str) -> dict[str, str]:
    """What must not be imported in a package, each with the contract that says so."""
    program, name = package.split(".", 1)
    room = name.split(".")[0]
    layers = LAYERS[program]
    level = layers.index(BESIDE.get(room, room))
    plants = {f"{program}.{above}": CONTRACTS[program] for above in ("__main__", *layers[:level])}
    plants |= {f"{program}.{other}": CONTRACTS[program] for pair in BESIDE.items() if room in pair for other in {*pair} - {room}}
    if program == "mcpgateway":
        plants |= dict.fromkeys(NOT_IN_GATEWAY, CONTRACTS["foreign"])
        return plants | {
            library: CONTRACTS[library]
            for library, allowed in GATEWAY_LIBRARIES.items()
            if not any(f"{name}.".startswith(f"{prefix}.") for prefix in allowed)
        }
    plants |= {f"mcpgateway.{other}": CONTRACTS["gateway"] for other in ("__main__", *LAYERS["mcpgateway"])}
    plants |= dict.fromkeys(SDK, CONTRACTS["sdk"]) if name != "cli.mcp_client" else {}
    above = CLI_LAYERS[: CLI_LAYERS.index(inner)] if (inner := name.removeprefix("cli.")) in CLI_LAYERS else ()
    plants |= {f"mcpgateway_operator.cli.{module}": CONTRACTS["cli"] for module in above}
    plants |= dict.fromkeys(IO, CONTRACTS["io"]) if room in ("api", "render", "reconcile", "importing") else {}
    return plants | ({} if room == "kube" else dict.fromkeys(("kopf", "kubernetes"), CONTRACTS["client"]))


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of both programs with their contracts."""
    folder = tmp_path_factory.mktemp("contracts")
    for source in SOURCES.values():
        shutil.copytree(ROOT / source, folder / source, ignore=shutil.ignore_patterns("__pycache__", "bridge"))
    shutil.copytree(ROOT / "gateway/mcpgateway", folder / "gateway/mcpgateway", dirs_exist_ok=True)
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def broken(tree: Path) -> dict[str, set[tuple[str, str]]]:
    """The broken contracts of a tree, each with its direct imports."""
    environment = {**os.environ, "PYTHONPATH": "operator:gateway", "COLUMNS": "1000"}
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    output = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False).stdout
    assert "Analyzed" in output, output
    sections = re.split(r"^(\S.*)\n-{4,}$", output.partition("Broken contracts")[2], flags=re.MULTILINE)
    imports = re.compile(r"^- +(\S+) -> (\S+)", re.MULTILINE)
    return {name: set(imports.findall(text)) for name, text in zip(sections[1::2], sections[2::2], strict=True)}


def test_the_tree_as_it_is_breaks_no_contract(tree: Path) -> None:
    assert broken(tree) == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_a_forbidden_import_breaks_its_contract(tree: Path, package: str) -> None:
    plants = forbidden(package)
    program = package.split(".")[0]
    module = tree / SOURCES[program] / package.replace(".", "/") / "planted.py"
    module.write_text("".join(f"import {name}\n" for name in plants))
    try:
        found = broken(tree)
    finally:
        module.unlink()
    missed = {name: contract for name, contract in plants.items() if (f"{package}.planted", name) not in found.get(contract, ())}
    assert missed == {}


@pytest.mark.parametrize("program", SOURCES)
def test_a_new_package_has_to_be_given_a_layer(tree: Path, program: str) -> None:
    package = tree / SOURCES[program] / program / "planted"
    package.mkdir()
    (package / "__init__.py").touch()
    environment = {**os.environ, "PYTHONPATH": "operator:gateway", "COLUMNS": "1000"}
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)
    shutil.rmtree(package)
    assert (done.returncode, f"{CONTRACTS[program]} BROKEN" in done.stdout) == (1, True), done.stdout
