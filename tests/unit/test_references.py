"""What a gateway reports as missing, and when kubelets are told to mount it."""

from __future__ import annotations

from mcpgateway_operator.api.validation import parse_spec
from mcpgateway_operator.reconcile import references
from mcpgateway_operator.reconcile.references import Mounting

SPEC = parse_spec(
    {
        "auth": {"tokens": [{"name": "dev", "secretKeyRef": {"name": "tokens", "key": "dev"}}]},
        "servers": [
            {
                "name": "time",
                "image": "i",
                "command": ["x"],
                "env": [
                    {"name": "A", "valueFrom": {"secretKeyRef": {"name": "a", "key": "k"}}},
                    {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "b", "key": "k"}}},
                ],
                "storage": [{"mountPath": "/c", "secret": {"name": "c"}}],
            },
            {
                "name": "far",
                "url": "https://h.example/mcp",
                "headers": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "h", "key": "k"}}}],
            },
        ],
    }
)


def row(name: str, reason: str) -> dict[str, object]:
    return {"name": name, "lastError": {"reason": reason, "message": "m"}}


def test_only_what_is_reported_is_looked_for() -> None:
    assert references.missing(SPEC, []) == set()
    token = {"missingTokens": ["tokens/dev"], "servers": [row("time", "Exited")]}
    assert references.missing(SPEC, [token]) == {("Secret", "tokens")}
    reported = [{"servers": [row("time", "MissingReference")]}, {"servers": [row("far", "MissingReference"), row("gone", "X")]}]
    assert references.missing(SPEC, reported) == {("Secret", "a"), ("ConfigMap", "b"), ("Secret", "c"), ("Secret", "h")}


def test_pods_are_changed_a_few_times_for_each_object_that_appears() -> None:
    mounting, one, both = Mounting(), frozenset({("Secret", "a")}), frozenset({("Secret", "a"), ("ConfigMap", "b")})
    assert [mounting.due(frozenset()) for _ in range(3)] == [False] * 3
    assert [mounting.due(one) for _ in range(5)] == [True, True, True, False, False]
    assert mounting.due(both)
    assert mounting.again == 5
    for _ in range(60):
        mounting.due(both)
    assert mounting.again == 30
