"""The public servers' programs, from the registries, once into the user's cache folder."""

from __future__ import annotations

import functools
import hashlib
import json
import re
import shutil
from pathlib import Path

from tests.support import cargo, maven, npm, pypi, tools
from tests.support.locks import exclusive
from tests.support.paths import CACHE, ROOT
from tests.support.progress import Step

from .corpus import CORPUS, PublicServer

_HERE = ROOT / "tests" / "servers"
_GO = _HERE / "go"
_JAVA = _HERE / "java"
_SUMS = _JAVA / "SHA256SUMS"


def prepare() -> None:
    """Install all of them. Raises: CannotRunError."""
    for server in CORPUS:
        command(server)


@functools.cache
def command(server: PublicServer) -> tuple[str, ...]:
    """The program of a server and its arguments. Raises: CannotRunError."""
    return (*_program(server), *server.arguments)


def _program(server: PublicServer) -> list[str]:
    match server.source:
        case "pypi sdk-1" | "pypi sdk-2":
            environment = server.source.removeprefix("pypi ")
            return [str(pypi.python(environment, _HERE / "python" / f"{environment}.txt").with_name(server.program))]
        case "npm":
            return _npm(server)
        case "npm reference":
            return npm.program(server.package)
        case "go":
            return [str(_go(server.package))]
        case "crates.io":
            return [str(cargo.rmcp_server())]
        case "maven":
            built = _java()
            return maven.program(built / "classes", built / "lib" / "*", name=server.program)


def _npm(server: PublicServer) -> list[str]:
    """A script on Node, or a binary, which is not always published as one that may be executed."""
    if not server.program:
        return npm.program(server.package, npm.PUBLIC_SERVERS)
    file = npm.modules(npm.PUBLIC_SERVERS) / server.package / server.program
    file.chmod(0o755)
    return [str(file)]


def _go(package: str) -> Path:
    mark = _mark(_GO / "go.mod", _GO / "go.sum")
    program = CACHE / "go-servers" / mark / package.replace("/", "-")
    with exclusive("go-servers"):
        if not program.exists():
            tools.compile_go(f"building {package}, once", ["build", "-mod=readonly", "-o", str(program), package], _GO)
    return program


def _java() -> Path:
    """The folder with the compiled classes of both JVM servers, and the libraries, whose hashes are checked."""
    sources = sorted((_JAVA / "src").iterdir())
    folder = CACHE / "java-servers" / _mark(_JAVA / "pom.xml", _SUMS, *sources)
    with exclusive("java-servers"):
        if not (folder / "complete").exists():
            maven.install()
            with Step("building the servers on the Java and Kotlin SDKs with Maven, once"):
                shutil.rmtree(folder, ignore_errors=True)
                _build_java(folder)
                maven.verify(folder / "lib", _SUMS)
                (folder / "complete").touch()
    return folder


def _build_java(folder: Path) -> None:
    build = folder / "build"
    shutil.copytree(_JAVA, build)
    maven.fetch(build / "pom.xml", folder / "lib", "compile")
    shutil.move(build / "target" / "classes", folder / "classes")
    shutil.rmtree(build)


def lock() -> None:
    """Write the hashes of the libraries from Maven again."""
    folder = CACHE / "java-servers" / "lock"
    shutil.rmtree(folder, ignore_errors=True)
    _build_java(folder)
    _SUMS.write_text(maven.sums(folder / "lib"))


def _mark(*files: Path) -> str:
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]


def version(server: PublicServer) -> str:
    """The pinned version of a server, or of the SDK if the server is ours."""
    match server.source:
        case "npm" | "npm reference":
            sources = npm.PUBLIC_SERVERS if server.source == "npm" else npm.SOURCES
            locked = json.loads((sources / "package-lock.json").read_text())["packages"]
            return str(locked[f"node_modules/{server.package}"]["version"])
        case "go":
            module = server.package.partition("/examples/")[0]
            return _found(rf"^\t{re.escape(module)} v(\S+)", _GO / "go.mod")
        case "maven":
            artifact = server.package.partition(":")[2]
            return _found(rf"<artifactId>{artifact}</artifactId><version>([^<]+)", _JAVA / "pom.xml")
        case "crates.io":
            return _found(rf'name = "{server.package}"\nversion = "([^"]+)', ROOT / "tests" / "rust" / "Cargo.lock")
        case source:
            return _found(rf"^{server.package}==([^ ]+)", _HERE / "python" / f"{source.removeprefix('pypi ')}.txt")


def _found(pattern: str, file: Path) -> str:
    found = re.search(pattern, file.read_text(), re.MULTILINE)
    assert found, (pattern, file)
    return found[1]


if __name__ == "__main__":
    lock()
