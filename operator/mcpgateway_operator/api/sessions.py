"""The resource's fields about clients' sessions, and about the limits of what they may request."""

from __future__ import annotations

from pydantic import Field

from .quantities import Duration, Quantity
from .types import Model


class Sessions(Model):
    """Sessions of clients with a protocol version that has sessions: 2025-11-25 and earlier."""

    ttl: Duration = Field("24h", description="Longest lifetime of a session.")
    idle_timeout: Duration = Field(
        "30m", description="How long an idle session is kept: one without a call in progress and without an open stream."
    )


class Limits(Model):
    """Limits for clients."""

    request_bytes: Quantity = Field("4Mi", description="Largest request body; a larger one is refused with status 413.")
    call_timeout: Duration = Field("60s", description="Longest duration of a call, unless its server sets callTimeout.")
    max_sessions: int = Field(
        10_000,
        ge=1,
        le=1_000_000,
        description="Most sessions at a time in one gateway pod; a further one is refused with status 503.",
    )
