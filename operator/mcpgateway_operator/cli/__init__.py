"""`mcpgw` (also `kubectl mcpgw`): run MCPGateways on this machine, write their resources, and use those of a cluster."""

# Each command imports its own parts: models, CEL and templates take half a second, which --help and version need not wait for.

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from .. import __version__
from . import gateway_commands
from .bad_input import BadInputError
from .guard import guarded
from .usage import OneLineUsage

app = typer.Typer(cls=OneLineUsage, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
Files = Annotated[list[Path], typer.Argument(help="YAML files with an MCPGateway, optionally with Secrets and ConfigMaps.")]
Output = Annotated[Literal["text", "json"], typer.Option("--output", "-o", help="Output format: text or json.")]
DEFAULT_IMAGE = f"ghcr.io/mcpgateway/gateway:{__version__}"
RUNNER_IMAGE = f"ghcr.io/mcpgateway/runner:{__version__}"


@app.command("up")
def up_command(
    files: Files,
    port: Annotated[int, typer.Option(help="Port for clients, on 127.0.0.1.", min=1, max=65535)] = 8811,
    call: Annotated[
        list[str] | None, typer.Option(help="NAME=JSON: call this tool when all servers are ready, and show the result.")
    ] = None,
    output: Output = "text",
) -> None:
    """Run an MCPGateway on this machine, without a cluster, until Ctrl-C. Reloads when the files change."""
    import asyncio

    from .up import Options, up

    guarded(lambda: asyncio.run(up(Options(files=tuple(files), port=port, calls=tuple(call or ()), json=output == "json"))))


@app.command()
def render(
    files: Files,
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="Namespace of the manifests.")] = "default",
    image: Annotated[str, typer.Option(help="Gateway image where spec.image is absent.")] = DEFAULT_IMAGE,
    runner_image: Annotated[
        str, typer.Option(help="Image for packages where spec.packages.runnerImage is absent.")
    ] = RUNNER_IMAGE,
    output: Annotated[Literal["yaml", "json"], typer.Option("--output", "-o")] = "yaml",
) -> None:
    """Print the manifests that the operator would apply, without the Secrets of `mcpgw keys`."""

    from .documents import read
    from .manifests import manifests, to_yaml

    def run() -> None:
        objects = manifests(read(files), namespace=namespace, image=image, runner=runner_image)
        sys.stdout.write(to_yaml(objects) if output == "yaml" else json.dumps(objects, indent=2) + "\n")

    guarded(run)


@app.command("keys")
def keys_command(
    files: Files,
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="Namespace of the Secrets.")] = "default",
) -> None:
    """Print Secrets with new keys for `mcpgw render`. Create them once: `mcpgw keys FILE | kubectl create -f -`."""
    from .documents import read
    from .manifests import keys, to_yaml

    guarded(lambda: sys.stdout.write(to_yaml(keys(read(files), namespace=namespace))))


@app.command()
def validate(files: Files, output: Output = "text") -> None:
    """Validate MCPGateways by the rules of the API server and the operator; exit code 1 if there are errors."""
    from .documents import read

    def run() -> None:
        try:
            names, errors = [gateway.name for gateway in read(files).gateways], tuple[str, ...]()
        except BadInputError as error:
            if output == "text":
                raise
            names, errors = [], error.messages
        text = f"valid: {', '.join(names)}" if output == "text" else json.dumps({"valid": names, "errors": errors})
        sys.stdout.write(f"{text}\n")
        if errors:
            raise typer.Exit(1)

    guarded(run)


@app.command("import")
def import_command(
    files: Annotated[
        list[Path] | None, typer.Argument(help="Configurations of clients, catalogs, server.json, Compose files; - is stdin.")
    ] = None,
    from_clients: Annotated[
        bool, typer.Option("--from-clients", help="Also the configurations of programs on this machine.")
    ] = False,
    name: Annotated[str, typer.Option(help="Name of the MCPGateway.")] = "imported",
    file: Annotated[Path | None, typer.Option("--file", "-f", help="A new file for the resource; absent: stdout.")] = None,
    offline: Annotated[bool, typer.Option(help="Do not look up the newest versions of packages.")] = False,
    output: Output = "text",
) -> None:
    """Convert MCP configurations into one MCPGateway and a Secret to fill in, and report what became of each server."""
    from .import_command import import_sources_of, report_on

    guarded(
        lambda: report_on(
            import_sources_of(files or [], from_clients=from_clients, name=name, offline=offline),
            file=file,
            as_json=output == "json",
        )
    )


gateway_commands.add_to(app)


@app.command()
def version() -> None:
    """Print the version."""
    sys.stdout.write(f"mcpgw {__version__}\n")


def main() -> None:
    """The console script."""
    app()
