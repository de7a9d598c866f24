"""Registries of the tests' own, with a password and an authority of their own: verdaccio before npm, pypiserver for PyPI."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from . import npm, pypi, tools
from .certificates import issued
from .kubectl import eventually
from .locks import exclusive, free_port
from .paths import CACHE, ROOT
from .processes import Processes

USER, PASSWORD = "builder", "p4ss w0rd"


@dataclass(frozen=True)
class Registries:
    """Where they are, and what a client needs."""

    npm: str
    pypi: str
    folder: Path  # of ca.crt, and credentials/username and credentials/password
    processes: Processes

    def cut(self) -> None:
        """End both: from now on nothing answers."""
        for name in ("verdaccio", "pypiserver"):
            self.processes.stop(name)


@contextlib.contextmanager
def registries(folder: Path, *requirements: str, host: str = "127.0.0.1") -> Iterator[Registries]:
    """Both registries; that of PyPI has what the requirements need, that of npm fetches. Raises: CannotRunError."""
    folder.mkdir(parents=True, exist_ok=True)
    authority, certificate, key = issued(host)
    for name, content in {"ca.crt": authority, "tls.crt": certificate, "tls.key": key}.items():
        (folder / name).write_bytes(content)
    (folder / "credentials").mkdir()
    (folder / "credentials" / "username").write_text(USER)
    (folder / "credentials" / "password").write_text(PASSWORD)
    ports, processes = (free_port(), free_port()), Processes(folder)
    try:
        processes.start(
            "verdaccio", [*npm.program("verdaccio", npm.REGISTRY), "--config", str(_verdaccio(folder, host, ports[0]))]
        )
        script = str(ROOT / "tests" / "support" / "servers" / "pypi_registry.py")
        arguments = [str(_wheels(requirements)), host, str(ports[1]), str(folder / "tls.crt"), str(folder / "tls.key")]
        processes.start("pypiserver", [str(pypi.python("registries")), script, *arguments, USER, PASSWORD])
        eventually("the registries to listen", lambda: all(_listens(host, port) for port in ports))
        yield Registries(f"https://{host}:{ports[0]}/", f"https://{host}:{ports[1]}/simple/", folder, processes)
    finally:
        for name in ("verdaccio", "pypiserver"):
            processes.stop(name)


def _listens(host: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0


def _verdaccio(folder: Path, host: str, port: int) -> Path:
    digest = base64.b64encode(hashlib.sha1(PASSWORD.encode(), usedforsecurity=False).digest()).decode()
    (folder / "htpasswd").write_text(f"{USER}:{{SHA}}{digest}\n")
    program = shutil.which("npm", path=os.environ.get("PATH"))
    upstream = subprocess.run(
        [program or "npm", "config", "get", "registry"], capture_output=True, text=True, check=True
    ).stdout.strip()
    settings = {
        "storage": str(CACHE / "verdaccio"),
        "auth": {"htpasswd": {"file": str(folder / "htpasswd"), "max_users": -1}},
        "uplinks": {"upstream": {"url": upstream, "timeout": "60s"}},
        "packages": {"**": {"access": "$authenticated", "proxy": "upstream"}},
        "listen": [f"https://{host}:{port}/"],
        "https": {"key": str(folder / "tls.key"), "cert": str(folder / "tls.crt")},
        "log": {"type": "stdout", "format": "pretty", "level": "http"},
    }
    path = folder / "verdaccio.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


def _wheels(requirements: tuple[str, ...]) -> Path:
    """The wheels that requirements need on this machine, and on the Python of the images, from PyPI, once."""
    mark = hashlib.sha256(repr((requirements, sys.version)).encode()).hexdigest()[:12]
    folder = CACHE / "wheels" / mark
    with exclusive("wheels"):
        if not (folder / "complete").exists():
            command = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--only-binary", ":all:"]
            tools.run([*command, "-d", str(folder), *requirements])
            (folder / "complete").touch()
    return folder
