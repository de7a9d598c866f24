"""The installation of a server's package: an initContainer, its flags, and the volumes. Pure.

The bridge's own subcommand `package` installs, in a cluster and with `mcpgw up`: decision 0029.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ..api.packages import Package, Packages
from ..api.servers import Server
from . import naming
from .context import Gateway
from .mounts import Mount, reference

FOLDER: Final = "/mcp-package"
_REFERENCES: Final = "/run/mcpgateway/packages"
_LARGEST: Final = (
    "2Gi"  # measured: large servers of both registries take 233 to 471 MB, and as much again while they are installed
)


@dataclass(frozen=True, slots=True)
class InstallView:
    """The initContainer of one package."""

    name: str
    image: str
    pull_policy: str
    args: Sequence[str]
    volume: str
    mounts: Sequence[Mount]  # credentials and certificate authorities, which the server does not see


def runner(gateway: Gateway) -> str:
    """The image that packages are installed and run in."""
    return gateway.spec.packages.runner_image or gateway.context.runner


def install(gateway: Gateway, server: Server) -> InstallView | None:
    """The initContainer of a server with a package."""
    if server.package is None:
        return None
    packages = gateway.spec.packages
    mounts = _mounts(packages, server.name)
    args = [
        "package",
        "--result=/dev/termination-log",
        *package_flags(server.package),
        *registry_flags(packages, server.package, _paths(packages, mounts)),
        *integrity_flags(gateway.context.integrities.get(server.name, "")),
        folder(server.package),
    ]
    image, volume = runner(gateway), package_mount(gateway.name, server)
    name = naming.install_container(server.name)
    return InstallView(name, image, server.image_pull_policy, args, volume.volume, mounts)


def package_flags(package: Package) -> list[str]:
    """What is installed, as flags of the bridge's `package`."""
    flags = [f"--{package.registry}={package.name}", f"--version={package.version}"]
    flags += [f"--extra={extra}" for extra in package.extras]
    flags += [f"--with={requirement}" for requirement in package.requirements]
    flags += [f"--{name}={value}" for name, value in (("python", package.python), ("bin", package.bin)) if value is not None]
    return [*flags, "--allow-install-scripts"] if package.allow_install_scripts else flags


def registry_flags(packages: Packages, package: Package, paths: Mapping[str, str]) -> list[str]:
    """Where it comes from; `paths` are those of the flags `credentials` and `ca`, where they are given."""
    url = packages.npm_registry if package.registry == "npm" else packages.pypi_index
    return [f"--{name}={value}" for name, value in ({"registry": url} | dict(paths)).items() if value is not None]


def integrity_flags(approved: str) -> list[str]:
    """The accepted digests, from a text with commas between them; none: every one is accepted."""
    return [f"--integrity={digest.strip()}" for digest in approved.split(",") if digest.strip()]


def folder(package: Package, root: str = FOLDER) -> str:
    """Where a package is installed."""
    return f"{root}/{package.key}"


def package_mount(gateway: str, server: Server) -> Mount:
    """The volume of a server's package; the server only reads it."""
    source: dict[str, Any] = {"sizeLimit": _LARGEST}
    volume = f"package-{server.name}"
    if server.package is None or server.package.cache is None:
        return Mount(volume, FOLDER, "emptyDir", source)
    return Mount(volume, FOLDER, "persistentVolumeClaim", {"claimName": naming.claim(gateway, server.name, FOLDER)})


def _mounts(packages: Packages, server: str) -> list[Mount]:
    mounts = []
    if packages.credentials is not None:
        mounts.append(reference("registry", server, "secrets", packages.credentials.name, None, _REFERENCES))
    if packages.ca_bundle is not None:
        bundle = packages.ca_bundle
        mounts.append(reference("registry", server, "configmaps", bundle.name, {bundle.key}, _REFERENCES))
    return mounts


def _paths(packages: Packages, mounts: Sequence[Mount]) -> dict[str, str]:
    names = [name for name, given in (("credentials", packages.credentials), ("ca", packages.ca_bundle)) if given is not None]
    paths = {name: mount.path for name, mount in zip(names, mounts, strict=True)}
    if packages.ca_bundle is not None:
        paths["ca"] += f"/{packages.ca_bundle.key}"
    return paths
