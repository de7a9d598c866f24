"""Quantities and durations: the types of the schema, and their values.

Sources: Kubernetes "Quantity" (suffixes m to T and Ki to Ti); durations as Go's time.ParseDuration writes them, without signs.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from .types import wanted

_QUANTITY = r"^([0-9]+(\.[0-9]*)?|\.[0-9]+)(m|k|M|G|T|Ki|Mi|Gi|Ti)?$"
_DURATION = r"^([0-9]{1,6}(\.[0-9]{1,6})?(ms|s|m|h)){1,8}$"  # at most 900 years, which the configuration of the gateway takes
_PART = re.compile(r"([0-9.]+)(ms|s|m|h)")
_SIZE_UNITS = {
    "m": 0.001,
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "Ki": 1 << 10,
    "Mi": 1 << 20,
    "Gi": 1 << 30,
    "Ti": 1 << 40,
}
_TIME_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def _quantity(value: int | str) -> int | str:
    if not re.match(_QUANTITY, str(value)):
        raise ValueError(f"{value!r} is not a quantity: write for example 100m, 0.5 or 256Mi")
    return value


Quantity = Annotated[
    int | str,
    AfterValidator(_quantity),
    Field(json_schema_extra={"pattern": _QUANTITY, "maxLength": 32, **wanted("a quantity, for example 100m, 0.5 or 256Mi")}),
]
Duration = Annotated[
    str,
    Field(
        pattern=_DURATION, max_length=32, json_schema_extra=wanted("a duration with its unit, for example 500ms, 60s or 1h30m")
    ),
]


def size(quantity: int | str) -> int:
    """A quantity as a whole number, of bytes for example; a fraction is cut off."""
    text = str(quantity)
    number = text.rstrip("mkMGTi")
    return int(float(number) * _SIZE_UNITS.get(text[len(number) :], 1))


def seconds(duration: str) -> float:
    """The seconds of a duration, whose parts may be combined, as in 1m30s."""
    return sum(float(number) * _TIME_UNITS[unit] for number, unit in _PART.findall(duration))
