"""Errors that the user can fix end a command with a line each and an exit code, never with a traceback."""

from __future__ import annotations

import sys
from collections.abc import Callable

import typer

from .bad_input import BadInputError


def guarded(run: Callable[[], object]) -> None:
    """Print each error of bad input on a line of its own. Raises: typer.Exit."""
    try:
        run()
    except BadInputError as error:
        sys.stderr.writelines(f"mcpgw: {message}\n" for message in error.messages)
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
