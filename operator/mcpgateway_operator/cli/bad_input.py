"""Errors that the user can fix."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar


class BadInputError(Exception):
    """One or more errors that the user can fix: each message names the file or field, the value and the fix.

    `exit_code` is the one of the process; docs/cli.md lists all of them.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, *messages: str) -> None:
        super().__init__("\n".join(messages))
        self.messages = messages


class NotReachedError(BadInputError):
    """A cluster, a gateway or a local run cannot be reached, or does not permit the request."""

    exit_code = 3


class ToolFailedError(BadInputError):
    """The tool answered with an error."""

    exit_code = 4


class NotHealthyError(BadInputError):
    """The gateway was reached, and is not healthy. Without a message where the output says it already."""

    exit_code = 5


def all_of(errors: Iterable[BadInputError]) -> BadInputError:
    """One error with the messages of several, each once."""
    return BadInputError(*dict.fromkeys(message for error in errors for message in error.messages))
