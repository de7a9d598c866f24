"""A server's fields → the bridge's flags. Pure; the same in the cluster and with `mcpgw up`."""

from __future__ import annotations

from mcpgateway.config import PROCESSES

from ..api.servers import Server
from .gateway_config import origin
from .mounts import REFS, stored
from .packages import FOLDER, folder

_PROCESSES = 256  # the bridge's default for --max-processes


def bridge_environment(server: Server) -> list[str]:
    """The flags for env and envFrom, in the order that Kubernetes gives them: envFrom first."""
    flags = []
    for source in server.env_from:
        folder = f"secrets/{source.secret_ref.name}" if source.secret_ref else ""
        if source.config_map_ref:
            folder = f"configmaps/{source.config_map_ref.name}"
        flags.append(f"--env-from-dir={source.prefix}={folder}")
    for variable in server.env:
        if variable.value_from is None:
            value = variable.value or ""
            flags.append(f"--env={variable.name}={'@' if value.startswith('@') else ''}{value}")
        else:
            flags.append(f"--env={variable.name}=@{'/'.join(origin(variable.value_from))}")
    return [f"--refs={REFS}", *flags] if any("@" in flag or flag.startswith("--env-from") for flag in flags) else flags


def bridge_access(server: str, folder: str) -> list[str]:
    """The flags by which the bridge serves only its gateway: the folder of the public keys, and the name that is signed."""
    return [f"--gateway-keys={folder}", f"--server={server}"]


def bridge_processes(server: Server) -> list[str]:
    """The flags for the number of processes. The bridge also counts the sessions of a gateway that has just ended."""
    most = 2 * (server.max_processes or PROCESSES) + server.pool + server.warm
    flags = [f"--warm={server.warm}"] if server.warm else []
    return [*flags, f"--max-processes={most}"] if most > _PROCESSES else flags


def bridge_package(server: Server, root: str = FOLDER) -> list[str]:
    """The flag for a package, whose program comes before the arguments."""
    return [] if server.package is None else [f"--package={folder(server.package, root)}"]


def bridge_needs(server: Server) -> list[str]:
    """The flags for mounted Secrets and ConfigMaps: no process starts without them, and a change restarts the processes."""
    folders = [(stored(storage), storage.mount_path) for storage in server.storage]
    return [f"--need={'/'.join(reference)}={path}" for reference, path in folders if reference is not None]
