"""The options that all commands about a running gateway share."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer

from .guard import guarded
from .output.screen import Screen
from .target.model import Choice

Work = Coroutine[Any, Any, None]


def _choice(
    gateway: Annotated[
        str | None, typer.Option("--gateway", "-g", help="Name of the MCPGateway; absent: the only one there is.")
    ] = None,
    namespace: Annotated[str | None, typer.Option("--namespace", "-n", help="Its namespace; absent: the context's.")] = None,
    context: Annotated[str | None, typer.Option(help="Context of the kubeconfig; absent: the current one.")] = None,
    kubeconfig: Annotated[Path | None, typer.Option(help="Kubeconfig file; absent: $KUBECONFIG or ~/.kube/config.")] = None,
    local: Annotated[bool, typer.Option("--local", help="A gateway of `mcpgw up` on this machine, never a cluster's.")] = False,
) -> Choice:
    return Choice(gateway, namespace, context, kubeconfig, local)


def _screen(
    output: Annotated[Literal["text", "json", "yaml"], typer.Option("--output", "-o", help="Output format.")] = "text",
) -> Screen:
    return Screen(output)


_MADE: Final[Mapping[str, Callable[..., object]]] = {"choice": _choice, "screen": _screen}


def about_a_gateway(command: Callable[..., Work]) -> Callable[..., None]:
    """A command of typer: the parameters `choice` and `screen` become, behind its own, the options that they are made of.

    It runs the command's coroutine to its end; errors of bad input are a line each. Raises: typer.Exit.
    """
    parameters = inspect.signature(command, eval_str=True).parameters
    options = {name: inspect.signature(_MADE[name], eval_str=True).parameters for name in _MADE if name in parameters}
    own = [parameter for name, parameter in parameters.items() if name not in options]
    shown = [*own, *(option for made in options.values() for option in made.values())]

    @functools.wraps(command)
    def run(**given: Any) -> None:
        made = {name: _MADE[name](**{option: given.pop(option) for option in taken}) for name, taken in options.items()}
        guarded(lambda: asyncio.run(command(**given, **made)))

    run.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in shown}
    return run
