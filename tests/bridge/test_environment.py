"""The environment of processes: values, files, folders."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.bridge.conftest import CAT, DIRECT, Start

PRINT = 'echo "$A|$B|$P_k1|$P_k2"; cat'


def test_the_environment_comes_from_values_files_and_folders(start: Start, tmp_path: Path) -> None:
    (tmp_path / "secrets" / "s").mkdir(parents=True)
    (tmp_path / "secrets" / "s" / "key").write_text("from a file")
    (tmp_path / "configmaps" / "c").mkdir(parents=True)
    for name in ("k1", "k2"):
        (tmp_path / "configmaps" / "c" / name).write_text(f"value of {name}")
    flags = (f"--refs={tmp_path}", "--env-from-dir=P_=configmaps/c", "--env=A=@secrets/s/key", "--env=B=<$(A)> $$(A) $(NONE) @")
    with start("sh", "-c", PRINT, flags=flags).connect(DIRECT) as client:
        client.control()
        assert client.line().decode() == "from a file|<from a file> $(A) $(NONE) @|value of k1|value of k2"


def test_a_literal_at_sign_and_arguments_are_expanded_as_kubernetes_does(start: Start) -> None:
    flags = ("--env=A=@@home", "--env=B=$(A)/x")
    with start("sh", "-c", 'echo "$A $B $1"; cat', "sh", "$(B)", flags=flags).connect(DIRECT) as client:
        client.control()
        assert client.line() == b"@home @home/x @home/x"


def test_a_missing_reference_is_reported_until_it_exists(start: Start, tmp_path: Path) -> None:
    running = start(*CAT, flags=(f"--refs={tmp_path}", "--env=A=@secrets/s/key"))
    assert running.get("/readyz") == (503, "missing references: secrets/s/key\n")
    with running.connect(DIRECT) as client:
        assert client.control()["reason"] == "MissingReference"
    with running.connect({"mode": "watch"}) as watch:
        assert watch.control()["missing"] == ["secrets/s/key"]
        (tmp_path / "secrets" / "s").mkdir(parents=True)
        (tmp_path / "secrets" / "s" / "key").write_text("v")
        healed = watch.control()
        assert (healed["missing"], healed["ready"]) == ([], True)
        (tmp_path / "secrets" / "s" / "key").write_text("rotated")
        assert watch.control()["references"] != healed["references"]
    assert "rotated" not in running.log.read_text()


def test_no_process_starts_while_a_needed_folder_is_empty_and_its_change_changes_the_references(
    start: Start, tmp_path: Path
) -> None:
    folder = tmp_path / "mounted"
    folder.mkdir()
    running = start(*CAT, flags=(f"--need=configmaps/settings={folder}",))
    assert running.get("/readyz") == (503, "missing references: configmaps/settings\n")
    with running.connect({"mode": "watch"}) as watch:
        assert watch.control()["missing"] == ["configmaps/settings"]
        (folder / "settings.json").write_text("{}")
        healed = watch.control()
        assert (healed["missing"], healed["ready"]) == ([], True)
        (folder / "settings.json").write_text('{"changed": true}')
        assert watch.control()["references"] != healed["references"]


def test_a_need_without_a_folder_is_refused_by_name(bridge_program: Path) -> None:
    done = subprocess.run([bridge_program, "serve", "--need=x", "--", "cat"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert '"x": use NAME=DIR' in done.stderr
