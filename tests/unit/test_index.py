"""Objects in the index: stored, dropped, and moved to another gateway."""

from __future__ import annotations

from mcpgateway_operator.observe.child_state import Owned
from mcpgateway_operator.observe.index import Index

A, B = ("ns", "a"), ("ns", "b")


def child(uid: str, name: str = "x") -> Owned:
    return Owned(kind="Service", name=name, uid=uid, owner="o", digest="d")


def test_the_newest_value_of_an_object_counts() -> None:
    index = Index()
    index.put_child(A, child("1", "old"))
    index.put_child(A, child("1", "new"))
    assert [result.name for result in index.children(A)] == ["new"]


def test_an_object_that_changes_its_gateway_is_stored_once() -> None:
    index = Index()
    index.put_child(A, child("1"))
    index.put_child(B, child("1"))
    assert (list(index.children(A)), [result.uid for result in index.children(B)]) == ([], ["1"])


def test_dropping_an_object_returns_its_gateway() -> None:
    index = Index()
    index.add("Service", "1")
    index.add("Service", "2")  # of no gateway
    index.put_child(A, child("1"))
    assert index.uids("Service") == {"1", "2"}
    assert index.drop("Service", "1") == A
    assert index.drop("Service", "2") is None
    assert index.drop("Service", "1") is None
    assert (index.uids("Service"), list(index.children(A))) == (set(), [])
