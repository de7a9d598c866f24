"""Session ids: signed, bounded, idle."""

from __future__ import annotations

import contextlib
import string

import pytest

from mcpgateway.access.keyring import KeyRing
from mcpgateway.access.sessions import Sessions, TooManySessionsError


def test_any_replica_with_the_key_knows_a_session() -> None:
    first, second = (Sessions(KeyRing({"k1": b"x" * 32}), ttl=3600) for _ in range(2))
    token = first.issue(principal="alice", version="2025-11-25", now=1000)
    found = second.find(token, principal="alice", now=1001)
    assert found is not None
    assert found.version == "2025-11-25"
    assert len(token) <= 1024
    assert all(0x21 <= ord(c) <= 0x7E for c in token)


def test_another_principal_an_old_token_and_a_forged_one_are_not_found() -> None:
    sessions = Sessions(KeyRing({"k1": b"x" * 32}), ttl=60)
    token = sessions.issue(principal="alice", version="2025-11-25", now=1000)
    assert sessions.find(token, principal="bob", now=1001) is None
    assert sessions.find(token, principal="alice", now=1061) is None
    assert sessions.find(token[:-2] + "AA", principal="alice", now=1001) is None
    assert Sessions(KeyRing({"k1": b"y" * 32}), ttl=3600).find(token, principal="alice", now=1001) is None
    for junk in ("", ".", "k1..", "k1.AA.AA", "k1." + "A" * 2000, "ü.x.y"):
        assert sessions.find(junk, principal="alice", now=1001) is None


def test_an_ended_session_is_not_found() -> None:
    sessions = Sessions(KeyRing({}), ttl=3600)
    token = sessions.issue(principal="a", version="2025-11-25", now=1000)
    found = sessions.find(token, principal="a", now=1000)
    assert found is not None
    sessions.end(found)
    assert sessions.find(token, principal="a", now=1000) is None


def test_an_idle_session_is_over_and_one_in_use_is_not() -> None:
    sessions = Sessions(KeyRing({}), ttl=3600, idle_timeout=60)
    quiet, used, reading = (sessions.issue(principal="a", version="2025-11-25", now=1000) for _ in range(3))
    ids = {name: sessions.find(token, principal="a", now=1000) for name, token in (("quiet", quiet), ("reading", reading))}
    assert sessions.find(used, principal="a", now=1050) is not None
    assert ids["reading"] is not None
    over = sessions.over(now=1061, busy={ids["reading"].id})
    assert over == [ids["quiet"]]
    sessions.end(over[0])
    assert [sessions.find(token, principal="a", now=1062) is None for token in (quiet, used, reading)] == [True, False, False]


def test_sessions_are_bounded_and_only_new_ones_are_refused() -> None:
    ring = KeyRing({"k1": b"x" * 32})
    elsewhere, here = Sessions(ring, ttl=3600), Sessions(ring, ttl=3600, limit=2)
    tokens = [elsewhere.issue(principal="a", version="2025-11-25", now=1000) for _ in range(3)]
    assert all(here.find(token, principal="a", now=1000) for token in tokens * 2), "they began before"
    assert here.count == 2
    with pytest.raises(TooManySessionsError):
        here.issue(principal="a", version="2025-11-25", now=1000)
    found = here.find(tokens[2], principal="a", now=1000)
    assert found is not None
    here.end(found)
    assert here.issue(principal="a", version="2025-11-25", now=1000)


def test_only_the_issued_spelling_of_a_session_id_is_accepted() -> None:
    sessions = Sessions(KeyRing({"k1": b"x" * 32}), ttl=3600)
    token = sessions.issue(principal="a", version="2025-11-25", now=1000)
    alphabet = string.ascii_letters + string.digits + "-_+/="
    for at in range(len(token)):
        for letter in alphabet:
            spelled = token[:at] + letter + token[at + 1 :]
            assert spelled == token or sessions.find(spelled, principal="a", now=1000) is None
    for more in (token + "=", token + "==", token + ".", " " + token, token + "\n", token.replace(".", "..", 1)):
        assert sessions.find(more, principal="a", now=1000) is None


def test_one_principal_cannot_use_the_share_of_another() -> None:
    sessions = Sessions(KeyRing({"k1": b"x" * 32}), ttl=3600, limit=8, principals=2)
    with contextlib.suppress(TooManySessionsError):
        while True:
            sessions.issue(principal="greedy", version="2025-11-25", now=1000)
    assert sessions.count == 6, "its own share of 2, and the 4 that are for whoever comes first"
    tokens = [sessions.issue(principal="modest", version="2025-11-25", now=1000) for _ in range(2)]
    with pytest.raises(TooManySessionsError):
        sessions.issue(principal="modest", version="2025-11-25", now=1000)
    ended = sessions.find(tokens[0], principal="modest", now=1000)
    assert ended is not None
    sessions.end(ended)
    with pytest.raises(TooManySessionsError):
        sessions.issue(principal="greedy", version="2025-11-25", now=1000)
    assert sessions.issue(principal="modest", version="2025-11-25", now=1000)


def test_a_principal_alone_can_use_all_sessions() -> None:
    sessions = Sessions(KeyRing({"k1": b"x" * 32}), ttl=3600, limit=8)
    assert len({sessions.issue(principal="a", version="2025-11-25", now=1000) for _ in range(8)}) == 8


def test_rotated_keys_still_verify() -> None:
    old = Sessions(KeyRing({"k1": b"x" * 32}), ttl=3600)
    token = old.issue(principal="a", version="2025-11-25", now=1000)
    rotated = Sessions(KeyRing({"k1": b"x" * 32, "k2": b"z" * 32}), ttl=3600)
    assert rotated.find(token, principal="a", now=1000) is not None
    assert rotated.issue(principal="a", version="2025-11-25", now=1000).startswith("k2.")
