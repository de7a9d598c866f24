"""What the operator waits for before it can act: one text for `/readyz` and for the log."""

from __future__ import annotations

import structlog

log = structlog.get_logger()


class Readiness:
    """Ready means that the operator sees every MCPGateway and acts, or that it can take over from the one that does."""

    def __init__(self) -> None:
        self._missing, self._text = True, "waiting for the start"

    @property
    def ready(self) -> bool:
        """Whether nothing is missing."""
        return not self._missing

    @property
    def text(self) -> str:
        """For people: what is missing, or whether it acts or stands by."""
        return self._text

    def waits_for(self, what: str) -> None:
        """Not ready: `what` is missing. Logged when it changes."""
        self._set(True, f"waiting for {what}")

    def stands_by(self, what: str) -> None:
        """Ready to take over; `what` says from whom."""
        self._set(False, f"standing by: {what}")

    def acts(self) -> None:
        """Ready."""
        self._set(False, "ok")

    def _set(self, missing: bool, text: str) -> None:
        if text != self._text:
            log.info(text)
        self._missing, self._text = missing, text
