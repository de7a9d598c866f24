"""The options that all commands about a running gateway share."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from .guard import guarded

Gateway = Annotated[str | None, typer.Option("--gateway", "-g", help="Name of the MCPGateway; absent: the only one there is.")]
Namespace = Annotated[str | None, typer.Option("--namespace", "-n", help="Its namespace; absent: the context's.")]
Context = Annotated[str | None, typer.Option(help="Context of the kubeconfig; absent: the current one.")]
Kubeconfig = Annotated[Path | None, typer.Option(help="Kubeconfig file; absent: $KUBECONFIG or ~/.kube/config.")]
Local = Annotated[bool, typer.Option("--local", help="A gateway of `mcpgw up` on this machine, never a cluster's.")]
Output = Annotated[Literal["text", "json", "yaml"], typer.Option("--output", "-o", help="Output format.")]


def run(command: Coroutine[Any, Any, None]) -> None:
    """Run a command to its end; errors of bad input are a line each. Raises: typer.Exit."""
    guarded(lambda: asyncio.run(command))
