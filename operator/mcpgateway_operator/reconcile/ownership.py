"""Which operator manages a gateway: `status.operator`. Pure; the decision to write is `reconciler`'s.

An operator claims a gateway before it writes anything else, and only if the resource has not changed meanwhile. Another one
that sees the claim stands back: docs/decisions/0022.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import conditions
from .finding import Finding
from .reasons import Reason

CONDITION = "ManagedElsewhere"


def manager(status: Mapping[str, Any]) -> str:
    """The operator that manages a gateway; empty if it is unclaimed."""
    return str(status.get("operator") or "")


def claimed(status: Mapping[str, Any], operator: str) -> dict[str, Any]:
    """The status with the claim of an operator."""
    return {**_without_notice(status), "operator": operator}


def notice(status: Mapping[str, Any], *, generation: int, now: str) -> list[dict[str, Any]]:
    """The condition by which another operator says that it stands back: the same whichever operator says it."""
    message = f"{manager(status)} manages this MCPGateway: another operator that watches it, too, stands back"
    finding = Finding("True", Reason.MANAGED_ELSEWHERE, message)
    return conditions.conditions({CONDITION: finding}, generation=generation, previous=status, now=now)


def noticed(status: Mapping[str, Any]) -> dict[str, Any] | None:
    """The condition that is stored."""
    notices = (condition for condition in status.get("conditions") or () if condition["type"] == CONDITION)
    return next(notices, None)


def given_up(status: Mapping[str, Any], *, now: str) -> dict[str, Any]:
    """The status that an operator leaves when it is uninstalled: it is not kept true from now on."""
    message = f"the operator {manager(status)} was uninstalled: the gateway may run, but this status is not kept true any more"
    unknown = Finding("Unknown", Reason.OPERATOR_UNINSTALLED, message)
    left = dict.fromkeys(("Programmed", "Ready"), unknown)
    kept = [each for each in _without_notice(status).get("conditions", ()) if each["type"] in ("Accepted", "ResolvedRefs")]
    generation = status.get("observedGeneration", -1)
    written = conditions.conditions(left, generation=generation, previous=status, now=now)
    return {**{name: value for name, value in status.items() if name != "operator"}, "conditions": [*kept, *written]}


def _without_notice(status: Mapping[str, Any]) -> dict[str, Any]:
    if "conditions" not in status:
        return dict(status)
    return {**status, "conditions": [each for each in status["conditions"] if each["type"] != CONDITION]}
