"""docs/limits.md says what the code does, and each of its rows has a test."""

from __future__ import annotations

import ast

import pytest
from msgspec import Raw

from mcpgateway.catalog import repair
from mcpgateway.catalog.model import KINDS
from mcpgateway.protocol import jsonrpc
from tests.support import limits
from tests.support.limits import Limit
from tests.support.paths import ROOT

ROWS = [row for rows in limits.SECTIONS.values() for row in rows]


def test_the_page_is_what_the_constants_say() -> None:
    assert limits.PAGE.read_text() == limits.page(), "run `make limits`"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.what)
def test_each_bound_has_a_test(row: Limit) -> None:
    file, *names = row.test.split("::")
    assert (ROOT / file).exists(), file
    if names:
        tree = ast.parse((ROOT / file).read_text())
        assert names[0] in {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}, row.test


def test_a_name_at_the_bound_is_offered_and_one_beyond_is_hidden() -> None:
    kind = KINDS["resources"]
    longest = "note://" + "x" * (repair.MAX_KEY - 7)
    assert repair.key_of(kind, {"uri": Raw(jsonrpc.dump(longest))}) == longest
    with pytest.raises(repair.UnusableItemError, match=f"over {repair.MAX_KEY} characters"):
        repair.key_of(kind, {"uri": Raw(jsonrpc.dump(longest + "x"))})


def test_an_item_at_the_bound_of_bytes_is_offered_and_one_beyond_is_hidden() -> None:
    largest = b'{"name":"' + b"x" * (repair.MAX_ITEM - 11) + b'"}'
    assert len(largest) == repair.MAX_ITEM
    assert set(repair.members_of(Raw(largest))) == {"name"}
    with pytest.raises(repair.UnusableItemError, match="over 256 KiB"):
        repair.members_of(Raw(largest + b" "))


def test_an_item_at_the_bound_of_levels_is_offered_and_one_beyond_is_hidden() -> None:
    for levels, usable in ((repair.MAX_NESTING, True), (repair.MAX_NESTING + 1, False)):
        item = Raw(b'{"a":' * levels + b"1" + b"}" * levels)
        if usable:
            assert set(repair.members_of(item)) == {"a"}
        else:
            with pytest.raises(repair.UnusableItemError, match=f"over {repair.MAX_NESTING} levels"):
                repair.members_of(item)
