"""What a release needs of this repository, as far as it can be said before there is one."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.support import images, pins, release
from tests.support.paths import ROOT

DIGESTS = {name: "sha256:" + str(number) * 64 for number, name in enumerate(("gateway", "operator", "chart"))}


def test_every_place_says_the_same_version() -> None:
    release.check_versions(f"v{images.VERSION}")


def test_a_tag_of_another_version_is_refused_with_every_place() -> None:
    with pytest.raises(SystemExit) as caught:
        release.check_versions("v9.9.9")
    assert str(caught.value).startswith("the tag is v9.9.9: ")
    assert str(caught.value).count(" says ") == len(release.versions())


def test_install_yaml_names_both_images_by_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release, "RELEASE", tmp_path)
    monkeypatch.setattr(release, "BUILD", tmp_path)
    release.write_files("registry.example.com/us", DIGESTS)
    documents = [document for document in yaml.safe_load_all((tmp_path / "install.yaml").read_text()) if document]
    (container,) = next(d for d in documents if d["kind"] == "Deployment")["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"registry.example.com/us/operator:{images.VERSION}@{DIGESTS['operator']}"
    assert f"--gateway-image=registry.example.com/us/gateway:{images.VERSION}@{DIGESTS['gateway']}" in container["args"]
    assert "CustomResourceDefinition" in {document["kind"] for document in documents}
    assert all(digest in (tmp_path / "notes.md").read_text() for digest in DIGESTS.values())


def test_every_action_is_pinned_by_its_commit() -> None:
    assert list(pins.unpinned_actions()) == []


def test_the_bridge_of_an_image_knows_its_commit() -> None:
    for image in images.FOR_USERS:
        version, commit = images.arguments(image)
        assert version == f"--build-arg=VERSION={images.VERSION}"
        assert len(commit.removeprefix("--build-arg=COMMIT=")) >= 7
        assert not commit.endswith("unknown")


def test_nothing_is_installed_into_an_image_without_a_hash() -> None:
    for image in images.FOR_USERS:
        for line in (ROOT / image.dockerfile).read_text().replace("\\\n", " ").splitlines():
            for command in line.split("&&"):
                if "pip install" in command or "pip wheel" in command:
                    assert "--require-hashes" in command or "--no-index" in command or "--no-build-isolation" in command, line
                if "npm " in command and line.startswith("RUN"):
                    assert "npm ci" in command, line
