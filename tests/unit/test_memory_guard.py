"""The gateway's memory guard: readings of cgroups, and when new work is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcpgateway.runtime.memory_guard import RESUME_AT, SHED_AT, MemoryGuard, Reading, cgroup_reading

MI = 1 << 20


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content)


def test_version_2_counts_no_file_pages_that_can_be_dropped(tmp_path: Path) -> None:
    stat = f"anon {100 * MI}\nfile {60 * MI}\ninactive_file {50 * MI}\n"
    write(tmp_path, memory__current=f"{160 * MI}\n", memory__max=f"{256 * MI}\n", memory__stat=stat)
    assert cgroup_reading(tmp_path) == Reading(110 * MI, 256 * MI)


def test_version_1(tmp_path: Path) -> None:
    write(
        tmp_path / "memory",
        memory__usage_in_bytes=f"{160 * MI}\n",
        memory__limit_in_bytes=f"{256 * MI}\n",
        memory__stat=f"cache 1\ninactive_file 7\ntotal_inactive_file {50 * MI}\n",
    )
    assert cgroup_reading(tmp_path) == Reading(110 * MI, 256 * MI)


@pytest.mark.parametrize("limit", ["max\n", "", "0\n", "-1\n", "9223372036854771712\n", "many\n"])
def test_without_a_limit_there_is_no_reading(tmp_path: Path, limit: str) -> None:
    write(tmp_path, memory__current="1\n", memory__max=limit, memory__stat="")
    assert cgroup_reading(tmp_path) is None


def test_without_a_cgroup_there_is_no_reading(tmp_path: Path) -> None:
    assert cgroup_reading(tmp_path) is None


@given(st.binary(max_size=30), st.binary(max_size=30), st.binary(max_size=60))
def test_no_content_of_the_files_is_an_exception(
    tmp_path_factory: pytest.TempPathFactory, current: bytes, limit: bytes, stat: bytes
) -> None:
    folder = tmp_path_factory.mktemp("cgroup")
    for name, content in (("memory.current", current), ("memory.max", limit), ("memory.stat", stat)):
        (folder / name).write_bytes(content)
    reading = cgroup_reading(folder)
    assert reading is None or reading.limit > 0


def test_work_is_refused_at_the_bound_and_accepted_again_well_below_it() -> None:
    limit, used = 1000, [0]
    guard = MemoryGuard(lambda: Reading(used[0], limit))
    states = []
    for used[0] in (int(limit * SHED_AT) - 1, int(limit * SHED_AT), int(limit * RESUME_AT), int(limit * RESUME_AT) - 1):
        changed = guard.check()
        states.append((guard.shedding, changed))
    assert states == [(False, False), (True, True), (True, False), (False, True)]


def test_a_limit_that_is_removed_ends_the_refusals() -> None:
    readings: list[Reading | None] = [Reading(95, 100), None]
    guard = MemoryGuard(lambda: readings.pop(0))
    assert guard.check()
    assert guard.shedding
    assert guard.check()
    assert not guard.shedding
