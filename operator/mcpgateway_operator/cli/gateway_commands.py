"""The command line of the commands about a running gateway: flags alone, each command imports its own parts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from . import token_commands
from .options import Work, about_a_gateway
from .output.screen import Screen
from .target.model import Choice
from .usage import COMPLETE


@about_a_gateway
def tools(choice: Choice, screen: Screen) -> Work:
    """List the tools that clients of a gateway may call."""
    from .verbs.tools import show_tools

    return show_tools(choice, screen)


@about_a_gateway
def call(
    choice: Choice,
    screen: Screen,
    invocation: typer.Context,
    tool: Annotated[str, typer.Argument(help="Name of the tool, as `mcpgw tools` lists it.")],
    json_text: Annotated[
        str | None, typer.Option("--json", help="The arguments as a JSON object, @FILE, or - for stdin; in place of flags.")
    ] = None,
) -> Work:
    """Call a tool: `mcpgw call [OPTIONS] TOOL --ARGUMENT VALUE…`, with the tool's own arguments after its name (TOOL --help)."""
    from .verbs.call import call

    return call(choice, screen, tool=tool, tokens=invocation.args, text=json_text)


@about_a_gateway
def status(
    choice: Choice,
    screen: Screen,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show each change, until Ctrl-C.")] = False,
) -> Work:
    """Show conditions and servers of a gateway; exit code 5 if it is not Ready."""
    from .verbs.status import show_status

    return show_status(choice, screen, watch=watch)


@about_a_gateway
def connect(choice: Choice) -> Work:
    """Be a stdio MCP server that is the gateway, for clients that know only stdio; reconnects by itself."""
    from .verbs.connect import connect

    return connect(choice, Screen("text"))


@about_a_gateway
def doctor(choice: Choice, screen: Screen) -> Work:
    """Find out what is wrong with a gateway: one sentence, and one command that helps; exit code 5 if something is broken."""
    from .verbs.doctor import doctor

    return doctor(choice, screen)


@about_a_gateway
def logs(
    choice: Choice,
    server: Annotated[str, typer.Argument(help="Name of a server, or `gateway`.")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    tail: Annotated[int, typer.Option(help="Lines from before, of each pod.", min=0)] = 100,
    previous: Annotated[bool, typer.Option("--previous", "-p", help="Of the containers before their last restart.")] = False,
) -> Work:
    """Show what a server, or the gateway, writes on standard error."""
    from .verbs.logs import show_logs

    return show_logs(choice, Screen("text"), component=server, follow=follow, tail=tail, previous=previous)


@about_a_gateway
def client_config(
    choice: Choice,
    client: Annotated[str, typer.Argument(help="A program, for example claude-code, vscode, cursor or codex.")],
    install: Annotated[bool, typer.Option(help="Write it into the program's file; the old one becomes FILE.bak.")] = False,
    file: Annotated[Path | None, typer.Option(help="Another file than the program's own.")] = None,
    stdio: Annotated[bool, typer.Option(help="Run `mcpgw connect` in place of the URL.")] = False,
) -> Work:
    """Print, or install, the configuration of an MCP client for a gateway."""
    from .verbs.client_config import client_config

    return client_config(choice, Screen("text"), client=client, install=install, file=file, stdio=stdio)


def completion(shell: Annotated[Literal["bash", "zsh", "fish"], typer.Argument(help="The shell.")]) -> None:
    """Print the completion of a shell: `source <(mcpgw completion bash)`."""
    from typer.completion import get_completion_script  # type: ignore[attr-defined]

    print(get_completion_script(prog_name="mcpgw", complete_var=COMPLETE, shell=shell))  # noqa: T201 - it is the output


@about_a_gateway
def top(
    choice: Choice,
    screen: Screen,
    interval: Annotated[float, typer.Option(help="Seconds between tables.", min=0.1)] = 2.0,
    count: Annotated[int, typer.Option(help="Number of tables; 0: until Ctrl-C.", min=0)] = 0,
) -> Work:
    """Show calls, latency and processes of each server, live."""
    from .verbs.top import show_top

    return show_top(choice, screen, interval=interval, count=count)


@about_a_gateway
def approve(
    choice: Choice,
    server: Annotated[str, typer.Argument(help="Name of the server whose tools are approved.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> Work:
    """Review a server's tools, and approve them in their present form (spec.toolPinning)."""
    from .verbs.approve import approve

    return approve(choice, Screen("text"), server=server, yes=yes)


@about_a_gateway
def report(
    choice: Choice,
    file: Annotated[Path, typer.Option("--file", "-f", help="A new archive.")] = Path("mcpgw-report.tar.gz"),
) -> Work:
    """Write an archive with status, events and logs for somebody else to look at, without secrets."""
    from .verbs.report import report

    return report(choice, Screen("text"), file=file)


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
