"""Servers of catalogs, registries, Compose files and other operators' resources → neutral ones. Pure.

Sources: Docker's MCP catalog (`registry:` and `server.yaml`), the MCP registry's server.json of 2025-12-11, the Compose
Specification, ToolHive's MCPServer and MCPRemoteProxy, and kmcp's MCPServer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from .convert import convert
from .launch import LocalError, npm_package, pypi_package
from .model import Entry, Folder, RefusedError, Report, Server, Setting
from .values import pairs, scalar, setting, settings

Make = Callable[[Report], Server]


@dataclass(frozen=True)
class Found:
    """A server of a catalog, and how it is converted; `make` raises RefusedError."""

    name: str
    make: Make


def found_in(document: Any) -> list[Found]:
    """The servers of a document; none if it is in none of these forms."""
    if not isinstance(document, Mapping):
        return []
    return [server for form in (_docker, _registry, _compose, _operators) for server in form(document)]


def _maps(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _words(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(value.split())
    return tuple(scalar(word) for word in value if scalar(word)) if isinstance(value, list) else ()


# --- Docker's catalog -----------------------------------------------------------------------------------------------------


def _docker(document: Mapping[str, Any]) -> Iterator[Found]:
    for name, fields in _map(document.get("registry")).items():
        if isinstance(fields, Mapping):
            yield Found(str(name), partial(_docker_server, str(name), fields))
    if document.get("type") in ("server", "remote", "poci") and isinstance(document.get("name"), str):
        name, flat = document["name"], {**_map(document.get("run")), **_map(document.get("config")), **document}
        yield Found(name, partial(_docker_server, name, flat))


def _docker_server(name: str, fields: Mapping[str, Any], report: Report) -> Server:
    remote = _map(fields.get("remote"))
    url = scalar(remote.get("url") or fields.get("url"))
    secrets = [
        Setting(scalar(item.get("env") or item.get("name")), hint=scalar(item.get("name")))
        for item in _maps(fields.get("secrets"))
    ]
    if url:
        return Server(name, url=url, headers=settings(remote.get("headers"), {}))
    image = scalar(fields.get("image"))
    if not image:
        raise RefusedError("has no image: its tools are programs of one call each (poci), which is no MCP server")
    volumes = [_path_of(scalar(volume)) for volume in fields.get("volumes") or () if isinstance(volume, str)]
    command = _words(fields.get("command"))
    for name_of in ("allowHosts", "disableNetwork"):
        if fields.get(name_of):
            report.add("step", name, f"{name_of}: write egress with address ranges, since policies know no host names")
    return _image(name, image, report, args=command, env=(*settings(fields.get("env"), {}), *secrets), paths=volumes)


def _path_of(volume: str) -> str:
    """The container's path of `SOURCE:PATH[:FLAGS]`."""
    match = re.search(r":(/[^:]+)(?::[a-z,]+)?$", volume)
    return match[1] if match else ""


def _image(
    name: str, image: str, report: Report, *, args: tuple[str, ...], env: tuple[Setting, ...], paths: list[str], **more: Any
) -> Server:
    if not more.get("command"):
        report.add("step", name, f"write the command of {image}: `docker image inspect` shows Entrypoint and Cmd")
    folders = tuple(Folder(path) for path in dict.fromkeys(paths) if path.startswith("/"))
    for folder in folders:
        report.add("changed", name, f"copy what it needs into the storage at {folder.path}, if anything")
    return Server(name, image=image, args=args, env=env, folders=folders, **more)


# --- the MCP registry -----------------------------------------------------------------------------------------------------


def _registry(document: Mapping[str, Any]) -> Iterator[Found]:
    items = [document, *_maps(document.get("servers"))]
    for item in [_map(item.get("server")) or item for item in items]:
        if (isinstance(item.get("packages"), list) or isinstance(item.get("remotes"), list)) and isinstance(
            item.get("name"), str
        ):
            yield Found(item["name"], partial(_registered, item))


def _registered(item: Mapping[str, Any], report: Report) -> Server:
    """The server by its best package: one of a registry, else an image, else its remote. Raises: RefusedError."""
    name = str(item["name"])
    packages = [
        package for package in _maps(item.get("packages")) if _map(package.get("transport")).get("type", "stdio") == "stdio"
    ]
    for kinds in (("npm", "pypi"), ("oci", "docker")):
        for package in packages:
            if scalar(package.get("registryType") or package.get("registry_name")) in kinds:
                return _registered_package(name, package, report)
    for remote in _maps(item.get("remotes")):
        if url := scalar(remote.get("url")):
            if "{" in url:
                raise RefusedError(f"has the URL {url!r}: write it with its variables replaced")
            return Server(name, url=url, headers=tuple(_declared(remote.get("headers"))))
    kinds_given = ", ".join(sorted({scalar(package.get("registryType")) for package in _maps(item.get("packages"))})) or "nothing"
    raise RefusedError(f"offers {kinds_given}: only npm, pypi and oci packages on stdio, and remotes, can be imported")


def _registered_package(name: str, package: Mapping[str, Any], report: Report) -> Server:
    identifier, version = scalar(package.get("identifier") or package.get("name")), scalar(package.get("version"))
    args = tuple(word for item in _maps(package.get("packageArguments")) for word in _argument(name, item, report))
    env = tuple(_declared(package.get("environmentVariables")))
    if package.get("registryType") in ("oci", "docker"):
        image = identifier if ":" in identifier.rsplit("/", 1)[-1] or not version else f"{identifier}:{version}"
        return _image(name, image, report, args=args, env=(*env, *_runtime_variables(package)), paths=[])
    make = npm_package if package.get("registryType") == "npm" else pypi_package
    separator = "@" if package.get("registryType") == "npm" else "=="
    try:
        made = make(f"{identifier}{separator}{version}" if version else identifier)
    except LocalError as error:
        raise RefusedError(str(error)) from None
    return Server(name, package=made, args=args, env=env)


def _runtime_variables(package: Mapping[str, Any]) -> Iterator[Setting]:
    for item in _maps(package.get("runtimeArguments")):
        key, equals, value = scalar(item.get("value")).partition("=")
        if scalar(item.get("name")) in ("-e", "--env") and equals:
            yield setting(key, re.sub(r"^\{([^{}]+)\}$", r"${\1}", value), {})


def _argument(server: str, item: Mapping[str, Any], report: Report) -> list[str]:
    value, name = scalar(item.get("value") or item.get("default")), scalar(item.get("name"))
    if not value and item.get("isRequired"):
        report.add("step", server, f"write the argument {name or scalar(item.get('valueHint')) or 'that it requires'}")
    if item.get("type") == "named":
        return [word for word in (name, value) if word]
    return [value] if value else []


def _declared(values: Any) -> Iterator[Setting]:
    """Variables or headers as a registry declares them."""
    for item in _maps(values):
        name, value = scalar(item.get("name")), scalar(item.get("value") or item.get("default"))
        if name and (item.get("isSecret") or (item.get("isRequired") and not value)):
            yield Setting(name, hint=scalar(item.get("description")) or name)
        elif name and value:
            yield setting(name, value, {})


# --- Compose --------------------------------------------------------------------------------------------------------------


def _compose(document: Mapping[str, Any]) -> Iterator[Found]:
    for name, fields in _map(document.get("services")).items():
        if isinstance(fields, Mapping) and (fields.get("image") or fields.get("build")):
            yield Found(str(name), partial(_service, str(name), fields))


def _service(name: str, fields: Mapping[str, Any], report: Report) -> Server:
    if not fields.get("image"):
        raise RefusedError("is built from a folder of this machine: push its image, and write image")
    volumes = [
        scalar(item.get("target")) if isinstance(item, Mapping) else _path_of(scalar(item))
        for item in fields.get("volumes") or ()
    ]
    for dropped in sorted({"ports", "networks", "depends_on", "restart", "healthcheck"} & set(fields)):
        report.add("dropped", name, f"{dropped}: pods have their own network and are watched by the gateway")
    if fields.get("ports"):
        report.add("step", name, "it listens on a port: if it serves MCP over HTTP, run it elsewhere and write its url")
    entrypoint = _words(fields.get("entrypoint"))
    env = settings(fields.get("environment"), {})
    return _image(
        name, scalar(fields["image"]), report, args=_words(fields.get("command")), env=env, paths=volumes, command=entrypoint
    )


# --- resources of other operators -----------------------------------------------------------------------------------------


def _operators(document: Mapping[str, Any]) -> Iterator[Found]:
    group = scalar(document.get("apiVersion")).partition("/")[0]
    name, spec = scalar(_map(document.get("metadata")).get("name")) or "server", _map(document.get("spec"))
    if group == "toolhive.stacklok.dev" and document.get("kind") in ("MCPServer", "MCPRemoteProxy"):
        yield Found(name, partial(_toolhive, name, spec))
    elif group == "kagent.dev" and document.get("kind") == "MCPServer":
        yield Found(name, partial(_kmcp, name, spec))
    elif group == "kagent.dev" and document.get("kind") == "RemoteMCPServer":
        yield Found(name, lambda report: Server(name, url=_required(spec, "url"), headers=settings(spec.get("headersFrom"), {})))


def _required(spec: Mapping[str, Any], field: str) -> str:
    if not (value := scalar(spec.get(field))):
        raise RefusedError(f"has no {field}: write it")
    return value


def _toolhive(name: str, spec: Mapping[str, Any], report: Report) -> Server:
    if url := scalar(spec.get("remoteURL") or spec.get("remoteUrl")):
        return Server(name, url=url)
    if spec.get("transport", "stdio") != "stdio":
        raise RefusedError(f"serves {spec.get('transport')} from its container: run it as a Deployment, and write its url")
    secrets = [
        Setting(
            scalar(item.get("targetEnvName") or item.get("key")),
            hint=f"key {scalar(item.get('key'))} of Secret {scalar(item.get('name'))}",
        )
        for item in _maps(spec.get("secrets"))
    ]
    for dropped in sorted({"permissionProfile", "podTemplateSpec", "serviceAccount", "oidcConfig", "authzConfig"} & set(spec)):
        report.add("dropped", name, f"{dropped}: egress, auth and the restricted pods of an MCPGateway stand in its place")
    paths = [scalar(item.get("mountPath")) for item in _maps(spec.get("volumes"))]
    env = (*settings(spec.get("env"), {}), *secrets)
    return _image(
        name, _required(spec, "image"), report, args=_words(spec.get("args")), env=env, paths=paths, resources=_resources(spec)
    )


def _kmcp(name: str, spec: Mapping[str, Any], report: Report) -> Server:
    deployment = _map(spec.get("deployment"))
    if scalar(spec.get("transportType") or "stdio") != "stdio":
        raise RefusedError("serves HTTP from its container: run it as a Deployment, and write its url")
    command, args = scalar(deployment.get("cmd")), _words(deployment.get("args"))
    if command in ("npx", "uvx"):
        return convert(Entry(name, {"command": command, "args": list(args), "env": dict(pairs(deployment.get("env")))}), report)
    for item in _maps(deployment.get("secretRefs")):
        report.add("step", name, f"list Secret {scalar(item.get('name'))} in envFrom")
    env = settings(deployment.get("env"), {})
    return _image(
        name,
        _required(deployment, "image"),
        report,
        args=args,
        env=env,
        paths=[],
        command=(command,) if command else (),
        resources=_resources(deployment),
    )


def _resources(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Requests and limits of CPU and memory."""
    given = _map(spec.get("resources"))
    amounts = {
        kind: {name: str(value) for name, value in _map(given.get(kind)).items() if name in ("cpu", "memory")}
        for kind in ("requests", "limits")
    }
    return {kind: value for kind, value in amounts.items() if value}
