"""Whatever a server lists, its intake is done in steps, and each step is little work: others get their turn in between."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest
from msgspec import Raw

from mcpgateway.catalog import intake, model, repair

MOST = 12_000  # Python calls in one step; a call takes about a microsecond, and the aim is 10 ms
ROOM = repair.MAX_ITEM - 20  # bytes that an item's members may take
KIND = model.KINDS["tools"]


def item(before: bytes, unit: bytes | Callable[[int], bytes], after: bytes) -> bytes:
    """A tool as large as an item may be, filled with a unit, or with the units that a function makes."""
    parts, size = list[bytes](), len(before) + len(after)
    while True:
        part = unit if isinstance(unit, bytes) else unit(len(parts))
        size += len(part)
        if size > ROOM:
            return b'{"name":"t",' + before + b"".join(parts) + after + b"}"
        parts.append(part)


def text(unit: bytes, first: bytes = b"") -> bytes:
    """A tool with a description of such units."""
    return item(b'"description":"' + first, unit, b'"')


SCHEMA = b'"inputSchema":{"type":"object",'
ITEMS: dict[str, bytes] = {
    "letters": text(b"x"),
    "escapes": text(rb"\n"),
    "backslashes": text(b"\\\\"),
    "euros": text("€".encode()),
    "hidden characters": text(rb"\u202e"),
    "hidden characters up to the bound": item(b'"description":"' + rb"\u202e" * 900, b"\\\\", b'"'),
    "pairs of surrogates": text(rb"\ud83d\ude00"),
    "pairs of surrogates and half of one": text(rb"\ud83d\ude00", rb"\ud83d "),
    "halves of surrogates": text(rb"\ud83d "),
    "members": item(b'"a":1', lambda number: b',"%d":1' % number, b""),
    "annotations": item(b'"annotations":{"a":1', lambda number: b',"%d":1' % number, b"}"),
    "properties": item(SCHEMA + b'"properties":{"a":{}', lambda number: b',"%d":{}' % number, b"}}"),
    "boolean properties": item(SCHEMA + b'"properties":{"a":{}', lambda number: b',"%d":true' % number, b"}}"),
    "required names": item(SCHEMA + b'"required":["a"', b',"a"', b"]}"),
    "brackets": item(b'"x":[0', b",[]", b"]"),
    "deep brackets": item(b'"x":[0', b"," + b"[" * 50 + b"]" * 50, b"]"),
    "strings": item(b'"x":[0', b',""', b"]"),
    "numbers, one too large": item(b'"x":[1e999', b",1", b"]"),
    "numbers that are too large": item(b'"x":[1e999', b",1e999", b"]"),
    "long numbers": item(b'"x":[1e999', b"," + b"1" * 299, b"]"),
    "one long number": item(b'"x":', b"1", b""),
}
PAGES: dict[str, bytes] = {
    **{name: b'{"tools":[' + raw + b"]}" for name, raw in ITEMS.items()},
    "many small items": b'{"tools":[' + b",".join(b'{"name":"t%d"}' % number for number in range(20_000)) + b"]}",
    "numbers for items": b'{"tools":[1' + b",1" * (intake.MAX_VALUES - 1) + b"]}",
    "more numbers for items": b'{"tools":[1' + b",1" * 1_000_000 + b"]}",
    "members beside the list": b'{"tools":[]' + b"".join(b',"%d":1' % number for number in range(200_000)) + b"}",
}


def calls_of_steps(steps: Iterator[Any]) -> list[int]:
    """How many functions, Python's and C's, each step calls."""
    counted, count = list[int](), 0

    def on_event(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    while True:
        count = 0
        sys.setprofile(on_event)
        try:
            next(steps)
        except StopIteration:
            return [*counted, count]
        finally:
            sys.setprofile(before)
        counted.append(count)


@pytest.mark.parametrize("page", PAGES)
def test_each_step_of_an_intake_is_little_work(page: str) -> None:
    steps = calls_of_steps(intake.Intake("s").read(KIND, Raw(PAGES[page])))
    assert max(steps) <= MOST, steps


@pytest.mark.parametrize("name", ITEMS)
def test_a_large_item_is_taken_in_several_steps(name: str) -> None:
    assert repair.MAX_ITEM - 1024 < len(ITEMS[name]) <= repair.MAX_ITEM
    collected = intake.Intake("s")
    count = sum(1 for _ in collected.read(KIND, Raw(PAGES[name])))
    assert count >= 2
    offer = collected.offer()
    assert len(offer.items) + len(offer.hidden) == 1


def test_a_page_with_more_values_than_the_bound_is_left_out_whole() -> None:
    at_bound = b'{"tools":[{"name":"t"}],"x":[1' + b",1" * (intake.MAX_VALUES - 1) + b"]}"
    for page, count in ((at_bound, 1), (at_bound.replace(b"[1,", b"[1,1,"), 0)):
        collected = intake.Intake("s")
        list(collected.read(KIND, Raw(page)))
        assert len(collected.offer().items) == count
    assert collected.offer().hidden[0].reason == "it has over 250,000 values"
