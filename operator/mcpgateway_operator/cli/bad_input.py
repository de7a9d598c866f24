"""Errors that the user can fix."""

from __future__ import annotations

from collections.abc import Iterable


class BadInputError(Exception):
    """One or more errors that the user can fix: each message names the file or field, the value and the fix."""

    def __init__(self, *messages: str) -> None:
        super().__init__("\n".join(messages))
        self.messages = messages


def all_of(errors: Iterable[BadInputError]) -> BadInputError:
    """One error with the messages of several, each once."""
    return BadInputError(*dict.fromkeys(message for error in errors for message in error.messages))
