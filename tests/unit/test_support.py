"""The harness itself: what the cluster's tests stand on."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.support import cluster, images, levels, oci, progress, run, tools
from tests.support.bridges import until
from tests.support.kubectl import condition, eventually
from tests.support.paths import ROOT
from tests.support.processes import Processes, wait_for


def test_an_archive_is_a_whole_oci_image(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "file").write_text("content")
    oci.archive("localhost/x:1", root, tmp_path / "x.tar", {"Entrypoint": ["/file"]})
    with tarfile.open(tmp_path / "x.tar") as found:
        blobs = {name: found.extractfile(name).read() for name in found.getnames()}  # type: ignore[union-attr]
    for name, content in blobs.items():
        if name.startswith("blobs/"):
            assert name == f"blobs/sha256/{hashlib.sha256(content).hexdigest()}"
    (entry,) = json.loads(blobs["index.json"])["manifests"]
    assert entry["annotations"]["org.opencontainers.image.ref.name"] == "localhost/x:1"
    manifest = json.loads(blobs[f"blobs/{entry['digest'].replace(':', '/')}"])
    config = json.loads(blobs[f"blobs/{manifest['config']['digest'].replace(':', '/')}"])
    assert config["rootfs"]["diff_ids"] == [layer["digest"] for layer in manifest["layers"]]


def test_processes_are_found_again_and_stopped_with_their_children(tmp_path: Path) -> None:
    starter = Processes(tmp_path)
    starter.start("job", ["sh", "-c", "echo hello; sleep 1000 & wait"])
    found = Processes(tmp_path)
    assert found.alive("job")
    wait_for("the output", lambda: "hello" in found.tails(), found)
    group = int((tmp_path / "job.pid").read_text())
    found.stop("job")
    assert not found.alive("job")
    until("the parent to reap it", lambda: not starter.alive("job"))
    until("the group to be empty", lambda: not _members(group))


def _members(group: int) -> list[str]:
    """The processes of a group that are not dead yet."""
    out = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            state, _, pgrp, *_ = stat.read_text().rsplit(")", 1)[1].split()
            out += [stat.parent.name] if int(pgrp) == group and state != "Z" else []
    return out


def test_waiting_for_a_process_that_ended_fails_at_once_with_its_log(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    processes.start("job", ["sh", "-c", "echo the reason >&2; exit 1"])
    with pytest.raises(RuntimeError, match="the reason"):
        wait_for("never", lambda: False, processes, alive=("job",))


def test_assets_are_taken_as_far_as_they_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "etcd").touch()
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path / "assets"))
    monkeypatch.setattr(tools, "kubernetes", lambda: tmp_path / "built")
    assert tools.component("etcd") == tmp_path / "assets" / "etcd"
    assert tools.component("kube-controller-manager") == tmp_path / "built" / "kube-controller-manager"


def test_a_given_cluster_is_taken_only_when_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    monkeypatch.delenv("USE_EXISTING_CLUSTER", raising=False)
    assert cluster.existing() is None
    monkeypatch.setenv("USE_EXISTING_CLUSTER", "true")
    found = cluster.existing()
    assert found is not None
    assert (found.node, found.kubectl.kubeconfig) == (None, tmp_path / "config")


def test_what_is_missing_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "DEBIAN", {"no-such-program": "no-such-package"})
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    message = "needs root on Debian, or USE_EXISTING_CLUSTER=true for a cluster; missing: no-such-package"
    with pytest.raises(tools.CannotRunError, match=message):
        tools.debian_packages()


def test_every_image_has_its_dockerfile_and_sources() -> None:
    for image in images.ALL:
        assert (ROOT / image.dockerfile).exists()
        assert all((ROOT / source).exists() for source in image.sources)


def test_eventually_returns_what_was_found_and_says_what_was_not() -> None:
    assert eventually("something", lambda: 7) == 7
    with pytest.raises(AssertionError, match=r"not within 0\.1 s: nothing"):
        eventually("nothing", lambda: None, timeout=0.1)
    assert condition({"status": {"conditions": [{"type": "Ready", "status": "True"}]}}, "Ready")["status"] == "True"
    assert condition({}, "Ready") == {}


def test_make_help_lists_what_the_readme_names() -> None:
    out = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in ("run", "test", "checks", "images", "cluster-up", "cluster-down", "bench", "crds", "golden"):
        assert f"  {target} " in out


def test_a_step_says_what_it_does_how_long_it_takes_and_how_it_ends(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_INTERVAL", 0.01)
    with progress.Step("building") as step:
        step.detail = "7 packages compiled"
        until("a line in between", lambda: "building: 0:00, 7 packages compiled\n" in capsys.readouterr().err)
    with pytest.raises(ValueError, match="broken"), progress.Step("loading"):
        raise ValueError("broken")
    assert re.sub(r"\d+:\d\d", "0:00", capsys.readouterr().err).splitlines()[-3:] == [
        "[test-cluster 0:00] building: 0:00, 7 packages compiled, done",
        "[test-cluster 0:00] loading",
        "[test-cluster 0:00] loading: 0:00, failed",
    ]


def test_a_failed_build_shows_the_compilers_words(tmp_path: Path) -> None:
    (tmp_path / "go.mod").write_text("module broken\n")
    (tmp_path / "main.go").write_text("package main\n\nfunc main() { undefined() }\n")
    with pytest.raises(tools.CannotRunError, match=r"go build failed: (.|\n)*undefined: undefined"):
        tools.compile_go("building", ["build", "."], tmp_path)


def test_a_run_of_levels_counts_them_and_fails_with_any_test(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two pytest processes on a tree of their own: their output, the lines of levels, the closing line, the exit code."""
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -p tests.support.levels --import-mode=importlib\n")
    for level, body in (("unit", "def test_good(): pass\n"), ("api", "def test_bad(): assert 0, 'the reason'\n")):
        (tmp_path / "tests" / level).mkdir(parents=True)
        (tmp_path / "tests" / level / "test_it.py").write_text(body)
    monkeypatch.setattr(run, "ROOT", tmp_path)
    monkeypatch.setattr(run, "FOLDER", tmp_path / "logs")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    assert run.run(run.Run("quick", ("unit",))) == 0
    assert re.search(r"^==== 1 passed, 0 failed, 0 skipped in ", capsys.readouterr().out, re.MULTILINE)
    assert run.run(run.Run("quick", ("unit",)), run.Run("slow", ("api",))) == 1
    out = capsys.readouterr().out
    assert "the reason" in out
    assert re.search(r"^unit +1 passed +0 failed +0 skipped +\d+:\d\d\napi +0 passed +1 failed ", out, re.MULTILINE)
    assert "slow: exit code 1\n==== 1 passed, 1 failed, 0 skipped in " in out


def test_ports_are_not_shared_between_processes() -> None:
    code = "from tests.support.locks import free_port; print(*(free_port() for _ in range(50))); input()"
    command = [sys.executable, "-c", code]
    with contextlib.ExitStack() as stack:
        started = [stack.enter_context(_piped(command)) for _ in range(3)]
        lines = [process.stdout.readline().split() for process in started if process.stdout is not None]
        assert len({port for line in lines for port in line}) == 150
        for process in started:
            process.communicate("\n", timeout=30)


def _piped(command: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_every_folder_of_tests_is_a_level_of_the_run() -> None:
    folders = {file.relative_to(ROOT / "tests").parts[0] for file in (ROOT / "tests").rglob("test_*.py")}
    assert folders == {*levels.CLUSTERLESS, *levels.CLUSTER}
