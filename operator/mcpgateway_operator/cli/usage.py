"""Wrong command lines: one line that says what, where, and the nearest right thing; exit code 2."""

from __future__ import annotations

import os
import sys
from typing import Any

from typer.core import TyperGroup
from typer.exceptions import Abort, Exit, TyperException

COMPLETE = "_MCPGW_COMPLETE"  # the variable by which a shell asks for completions


class OneLineUsage(TyperGroup):
    """The command's group, with errors of usage in one line."""

    def main(self, *args: Any, standalone_mode: bool = True, **kwargs: Any) -> Any:
        """Parse and run; see `typer.core.TyperGroup.main`."""
        if COMPLETE in os.environ:
            from typer.completion import completion_init  # type: ignore[attr-defined]

            completion_init()
        kwargs["standalone_mode"] = False
        if not standalone_mode:
            return super().main(*args, **kwargs)
        try:
            code = super().main(*args, **kwargs)
        except TyperException as error:
            _show(error)
            code = error.exit_code
        except Abort:
            code = 130
        except Exit as error:
            code = error.exit_code
        sys.exit(code if isinstance(code, int) else 0)


def _show(error: TyperException) -> None:
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        sys.stderr.write(f"{error.format_message()}\n")
        return
    path = " ".join(["mcpgw", *(context.command_path.split()[1:] if context is not None else ())])
    words = " ".join(error.format_message().split()).rstrip(".")
    sys.stderr.write(f"mcpgw: {words[:1].lower()}{words[1:]}: see `{path} --help`\n")
