"""The command line of `mcpgw token`."""

from __future__ import annotations

from typing import Annotated

import typer

from .options import Work, about_a_gateway
from .output.screen import Screen
from .target.model import Choice

app = typer.Typer(no_args_is_help=True, help="Show, create, rotate and revoke the tokens of a gateway.")
Name = Annotated[str, typer.Argument(help="Name of the token.")]


@app.command("list")
@about_a_gateway
def list_command(choice: Choice, screen: Screen) -> Work:
    """List the tokens, without their values."""
    from .verbs import tokens

    return tokens.list_all(choice, screen)


@app.command("show")
@about_a_gateway
def show_command(
    choice: Choice, screen: Screen, name: Annotated[str | None, typer.Argument(help="Name of the token.")] = None
) -> Work:
    """Print a token: the first one, or the one of that name."""
    from .verbs import tokens

    return tokens.show(choice, screen, name=name)


@app.command("create")
@about_a_gateway
def create_command(choice: Choice, screen: Screen, name: Name) -> Work:
    """Create a token in a Secret of its own, accept it, and print it."""
    from .verbs import tokens

    return tokens.create(choice, screen, name=name)


@app.command("rotate")
@about_a_gateway
def rotate_command(choice: Choice, screen: Screen, name: Name) -> Work:
    """Create a successor of a token, NAME-r2, and print it; both are accepted until the old one is revoked."""
    from .verbs import tokens

    return tokens.rotate(choice, screen, name=name)


@app.command("revoke")
@about_a_gateway
def revoke_command(choice: Choice, screen: Screen, name: Name) -> Work:
    """Accept a token no longer."""
    from .verbs import tokens

    return tokens.revoke(choice, screen, name=name)
