"""Where the parts of one server report what goes wrong without ending them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reports:
    """Called with each incident; neither call may raise.

    Args:
        invalid: A message from the server that is not valid, or that answers no open request.
        internal_error: An exception that a boundary has caught, with the boundary's name: it is a fault of the gateway.
    """

    invalid: Callable[[], object] = lambda: None
    internal_error: Callable[[str, Exception], object] = lambda boundary, error: None
