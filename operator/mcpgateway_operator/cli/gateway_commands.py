"""The command line of the commands about a running gateway: flags alone, each command imports its own parts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from . import token_commands
from .options import Context, Gateway, Kubeconfig, Local, Namespace, Output, run
from .output.screen import Screen
from .target.model import Choice
from .usage import COMPLETE


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

    run(show_tools(Choice(gateway, namespace, context, kubeconfig, local), Screen(output)))


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
    run(call(choice, Screen(output), tool=tool, tokens=invocation.args, text=json_text))


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

    run(show_status(Choice(gateway, namespace, context, kubeconfig, local), Screen(output), watch=watch))


def connect(
    gateway: Gateway = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    local: Local = False,
) -> None:
    """Be a stdio MCP server that is the gateway, for clients that know only stdio; reconnects by itself."""
    from .verbs.connect import connect

    run(connect(Choice(gateway, namespace, context, kubeconfig, local), Screen("text")))


def doctor(
    gateway: Gateway = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    local: Local = False,
    output: Output = "text",
) -> None:
    """Find out what is wrong with a gateway: one sentence, and one command that helps; exit code 5 if something is broken."""
    from .verbs.doctor import doctor

    run(doctor(Choice(gateway, namespace, context, kubeconfig, local), Screen(output)))


def logs(
    server: Annotated[str, typer.Argument(help="Name of a server, or `gateway`.")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    tail: Annotated[int, typer.Option(help="Lines from before, of each pod.", min=0)] = 100,
    previous: Annotated[bool, typer.Option("--previous", "-p", help="Of the containers before their last restart.")] = False,
    gateway: Gateway = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    local: Local = False,
) -> None:
    """Show what a server, or the gateway, writes on standard error."""
    from .verbs.logs import show_logs

    choice = Choice(gateway, namespace, context, kubeconfig, local)
    run(show_logs(choice, Screen("text"), component=server, follow=follow, tail=tail, previous=previous))


def client_config(
    client: Annotated[str, typer.Argument(help="A program, for example claude-code, vscode, cursor or codex.")],
    install: Annotated[bool, typer.Option(help="Write it into the program's file; the old one becomes FILE.bak.")] = False,
    file: Annotated[Path | None, typer.Option(help="Another file than the program's own.")] = None,
    stdio: Annotated[bool, typer.Option(help="Run `mcpgw connect` in place of the URL.")] = False,
    gateway: Gateway = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    local: Local = False,
) -> None:
    """Print, or install, the configuration of an MCP client for a gateway."""
    from .verbs.client_config import client_config

    choice = Choice(gateway, namespace, context, kubeconfig, local)
    run(client_config(choice, Screen("text"), client=client, install=install, file=file, stdio=stdio))


def completion(shell: Annotated[Literal["bash", "zsh", "fish"], typer.Argument(help="The shell.")]) -> None:
    """Print the completion of a shell: `source <(mcpgw completion bash)`."""
    from typer.completion import get_completion_script  # type: ignore[attr-defined]

    print(get_completion_script(prog_name="mcpgw", complete_var=COMPLETE, shell=shell))  # noqa: T201 - it is the output


def top(
    interval: Annotated[float, typer.Option(help="Seconds between tables.", min=0.1)] = 2.0,
    count: Annotated[int, typer.Option(help="Number of tables; 0: until Ctrl-C.", min=0)] = 0,
    gateway: Gateway = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    local: Local = False,
    output: Output = "text",
) -> None:
    """Show calls, latency and processes of each server, live."""
    from .verbs.top import show_top

    choice = Choice(gateway, namespace, context, kubeconfig, local)
    run(show_top(choice, Screen(output), interval=interval, count=count))


def approve(
    server: Annotated[str, typer.Argument(help="Name of the server whose tools are approved.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    gateway: Gateway = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    local: Local = False,
) -> None:
    """Review a server's tools, and approve them in their present form (spec.toolPinning)."""
    from .verbs.approve import approve

    run(approve(Choice(gateway, namespace, context, kubeconfig, local), Screen("text"), server=server, yes=yes))


def report(
    file: Annotated[Path, typer.Option("--file", "-f", help="A new archive.")] = Path("mcpgw-report.tar.gz"),
    gateway: Gateway = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    local: Local = False,
) -> None:
    """Write an archive with status, events and logs for somebody else to look at, without secrets."""
    from .verbs.report import report

    run(report(Choice(gateway, namespace, context, kubeconfig, local), Screen("text"), file=file))


_OWN_ARGUMENTS = {"allow_extra_args": True, "allow_interspersed_args": False, "ignore_unknown_options": False}


def add_to(app: typer.Typer) -> None:
    """Add the commands, in the order in which help lists them."""
    app.command()(status)
    app.command()(top)
    app.command()(tools)
    app.command(context_settings=_OWN_ARGUMENTS)(call)
    app.command()(connect)
    app.command()(doctor)
    app.command()(logs)
    app.command("client-config")(client_config)
    app.add_typer(token_commands.app, name="token")
    app.command()(approve)
    app.command()(report)
    app.command()(completion)
