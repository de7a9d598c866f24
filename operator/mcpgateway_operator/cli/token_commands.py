"""The command line of `mcpgw token`."""

from __future__ import annotations

from typing import Annotated

import typer

from .options import Context, Gateway, Kubeconfig, Local, Namespace, Output, run
from .output.screen import Screen
from .target.model import Choice

app = typer.Typer(no_args_is_help=True, help="Show, create, rotate and revoke the tokens of a gateway.")


@app.command("list")
def list_command(
    gateway: Gateway = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    local: Local = False,
    output: Output = "text",
) -> None:
    """List the tokens, without their values."""
    from .verbs import tokens

    run(tokens.list_all(Choice(gateway, namespace, context, kubeconfig, local), Screen(output)))


@app.command("show")
def show_command(
    name: Annotated[str | None, typer.Argument(help="Name of the token.")] = None,
    gateway: Gateway = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    local: Local = False,
    output: Output = "text",
) -> None:
    """Print a token: the first one, or the one of that name."""
    from .verbs import tokens

    run(tokens.show(Choice(gateway, namespace, context, kubeconfig, local), Screen(output), name=name))


@app.command("create")
def create_command(
    name: Annotated[str, typer.Argument(help="Name of the token.")],
    gateway: Gateway = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    local: Local = False,
    output: Output = "text",
) -> None:
    """Create a token in a Secret of its own, accept it, and print it."""
    from .verbs import tokens

    run(tokens.create(Choice(gateway, namespace, context, kubeconfig, local), Screen(output), name=name))


@app.command("rotate")
def rotate_command(
    name: Annotated[str, typer.Argument(help="Name of the token.")],
    gateway: Gateway = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    local: Local = False,
    output: Output = "text",
) -> None:
    """Create a successor of a token, NAME-r2, and print it; both are accepted until the old one is revoked."""
    from .verbs import tokens

    run(tokens.rotate(Choice(gateway, namespace, context, kubeconfig, local), Screen(output), name=name))


@app.command("revoke")
def revoke_command(
    name: Annotated[str, typer.Argument(help="Name of the token.")],
    gateway: Gateway = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    local: Local = False,
    output: Output = "text",
) -> None:
    """Accept a token no longer."""
    from .verbs import tokens

    run(tokens.revoke(Choice(gateway, namespace, context, kubeconfig, local), Screen(output), name=name))
