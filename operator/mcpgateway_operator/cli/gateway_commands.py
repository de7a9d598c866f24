"""The command line of the commands about a running gateway: flags alone, each command imports its own parts."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from .guard import guarded
from .output.screen import Screen
from .target.model import Choice

Gateway = Annotated[str | None, typer.Option("--gateway", "-g", help="Name of the MCPGateway; absent: the only one there is.")]
Namespace = Annotated[str | None, typer.Option("--namespace", "-n", help="Its namespace; absent: the context's.")]
Context = Annotated[str | None, typer.Option(help="Context of the kubeconfig; absent: the current one.")]
Kubeconfig = Annotated[Path | None, typer.Option(help="Kubeconfig file; absent: $KUBECONFIG or ~/.kube/config.")]
Local = Annotated[bool, typer.Option("--local", help="A gateway of `mcpgw up` on this machine, never a cluster's.")]
Output = Annotated[Literal["text", "json", "yaml"], typer.Option("--output", "-o", help="Output format.")]


def _run(command: Coroutine[Any, Any, None]) -> None:
    guarded(lambda: asyncio.run(command))


def tools(
    gateway: Gateway = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    local: Local = False,
    output: Output = "text",
) -> None:
    """List the tools that clients of a gateway may call."""
    from .verbs.tools import show_tools

    _run(show_tools(Choice(gateway, namespace, context, kubeconfig, local), Screen(output)))


def call(
    invocation: typer.Context,
    tool: Annotated[str, typer.Argument(help="Name of the tool, as `mcpgw tools` lists it.")],
    json_text: Annotated[
        str | None, typer.Option("--json", help="The arguments as a JSON object, @FILE, or - for stdin; in place of flags.")
    ] = None,
    gateway: Gateway = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    local: Local = False,
    output: Output = "text",
) -> None:
    """Call a tool: `mcpgw call [OPTIONS] TOOL --ARGUMENT VALUE…`, with the tool's own arguments after its name (TOOL --help)."""
    from .verbs.call import call

    choice = Choice(gateway, namespace, context, kubeconfig, local)
    _run(call(choice, Screen(output), tool=tool, tokens=invocation.args, text=json_text))


def status(
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show each change, until Ctrl-C.")] = False,
    gateway: Gateway = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    local: Local = False,
    output: Output = "text",
) -> None:
    """Show conditions and servers of a gateway; exit code 5 if it is not Ready."""
    from .verbs.status import show_status

    _run(show_status(Choice(gateway, namespace, context, kubeconfig, local), Screen(output), watch=watch))


_OWN_ARGUMENTS = {"allow_extra_args": True, "allow_interspersed_args": False, "ignore_unknown_options": False}


def add_to(app: typer.Typer) -> None:
    """Add the commands, in the order in which help lists them."""
    app.command()(status)
    app.command()(tools)
    app.command(context_settings=_OWN_ARGUMENTS)(call)
