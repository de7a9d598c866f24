"""The environment of processes: values, files, folders."""

from __future__ import annotations

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


def test_a_missing_reference_is_reported_and_heals(start: Start, tmp_path: Path) -> None:
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
