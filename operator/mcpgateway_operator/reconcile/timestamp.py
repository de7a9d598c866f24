"""Times as the API writes them."""

from __future__ import annotations

from datetime import datetime


def timestamp(moment: datetime) -> str:
    """A metav1.Time, in whole seconds (RFC 3339). `moment` is in UTC."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
