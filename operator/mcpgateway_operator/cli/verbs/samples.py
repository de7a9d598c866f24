"""The text format of Prometheus → samples. Pure.

Only prometheus_client knows all of the format; it is not imported where a command has to start quickly.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sample:
    """One value."""

    name: str
    labels: dict[str, str]
    value: float


def parse(text: str) -> list[Sample]:
    """All samples of an exposition."""
    from prometheus_client.parser import text_string_to_metric_families

    families = text_string_to_metric_families(text)
    return [Sample(item.name, dict(item.labels), float(item.value)) for family in families for item in family.samples]
