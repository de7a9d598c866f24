"""The resource's fields about packages: a server from npm or PyPI in place of an image, and where packages come from.

Sources: npm's validate-npm-package-name and package-json(5); PEP 503, PEP 508 and PEP 440; decision 0029.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Final

from pydantic import ConfigDict, Field

from .network import Egress
from .quantities import Quantity
from .storage import AccessModes, of_one_pod, of_several_pods
from .types import ImageReference, KeySelector, Model, ObjectName, ObjectSelector, cel, wanted

_SOURCES: Final = (
    "packages from git, a file or a URL are refused, because what they hold may change under the same name: publish it to a "
    "registry, or build an image"
)
_NPM: Final = r"^(@[A-Za-z0-9~-][A-Za-z0-9._~-]*/)?[A-Za-z0-9~-][A-Za-z0-9._~-]*$"
_PYPI: Final = r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$"
_BOUND: Final = r"(===?|[!~<>]=|[<>])[0-9A-Za-z.*+!_-]+"
_REQUIREMENT: Final = rf"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?(\[[A-Za-z0-9._,-]+\])?({_BOUND}(,{_BOUND})*)?$"
CREDENTIAL_KEYS: Final = ("username", "password", "token")
CACHE_ALLOWS_SEVERAL: Final = (  # CEL: whether several pods of the server SERVER may mount its cache
    f"(!has(SERVER.__package__) || !has(SERVER.__package__.cache) || {of_several_pods('SERVER.__package__.cache')})"
)
PackageVersion = Annotated[
    str,
    Field(
        min_length=1,
        max_length=64,
        pattern=r"^[0-9][0-9A-Za-z.+!_-]*$",
        json_schema_extra=wanted("an exact version as 1.2.3: a range or latest would run another version on another day"),
    ),
]
Extra = Annotated[str, Field(max_length=64, pattern=_PYPI, json_schema_extra=wanted("the name of an extra"))]
Requirement = Annotated[
    str,
    Field(
        max_length=256,
        pattern=_REQUIREMENT,
        json_schema_extra=wanted(f"a requirement without spaces, NAME, NAME==1.2 or NAME>=1,<2; {_SOURCES}"),
    ),
]
RegistryURL = Annotated[
    str,
    Field(
        max_length=1024,
        pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$",
        json_schema_extra=wanted("http(s)://HOST[:PORT][/PATH]; credentials belong into packages.credentials"),
    ),
]


class PackageCache(Model):
    """A PersistentVolumeClaim for the installed package, so that new pods need no registry."""

    size: Quantity = Field("2Gi", description="Size of the claim.")
    storage_class_name: ObjectName | None = Field(None, description="StorageClass of the claim; absent: the cluster's default.")
    access_modes: AccessModes | None = Field(
        None,
        description="Access modes of the claim; absent: ReadWriteOnce, which one pod at a time mounts. With ReadWriteMany all "
        "pods of the server share one installation.",
    )

    @property
    def single(self) -> bool:
        """Whether only one pod at a time may mount it."""
        return of_one_pod(self.access_modes)


class Package(Model):
    """A package of npm or PyPI with a server's program, installed once by an initContainer of the runner image."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            ("has(self.npm) != has(self.pypi)", "package needs exactly one of npm and pypi"),
            (
                "has(self.pypi) || !(size(self.extras) > 0 || size(self.with) > 0 || has(self.python))",
                "extras, with and python belong to packages of PyPI: remove them, or give pypi",
            ),
        )
    )
    npm: str | None = Field(
        None,
        min_length=1,
        max_length=214,
        pattern=_NPM,
        json_schema_extra=wanted(f"a name of the npm registry, NAME or @SCOPE/NAME, without a version; {_SOURCES}"),
        description="Name of a package of the npm registry.",
    )
    pypi: str | None = Field(
        None,
        min_length=1,
        max_length=214,
        pattern=_PYPI,
        json_schema_extra=wanted(f"a name of PyPI, without extras and a version; {_SOURCES}"),
        description="Name of a package of PyPI.",
    )
    version: PackageVersion = Field(description="Its exact version.")
    extras: tuple[Extra, ...] = Field(
        (), max_length=16, json_schema_extra={"x-kubernetes-list-type": "set"}, description="Extras of a package of PyPI."
    )
    requirements: tuple[Requirement, ...] = Field(
        (),
        alias="with",
        max_length=16,
        json_schema_extra={"x-kubernetes-list-type": "set"},
        description="Further requirements that are installed beside a package of PyPI.",
    )
    python: str | None = Field(
        None,
        max_length=8,
        pattern=r"^3\.[0-9]{1,2}$",
        json_schema_extra=wanted("a version of Python as 3.12, which the runner image has"),
        description="Version of Python, of those in the runner image; absent: the first one.",
    )
    bin: str | None = Field(
        None,
        min_length=1,
        max_length=128,
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*$",
        json_schema_extra=wanted("the name of one of the package's programs, without a path"),
        description="Name of the program; absent: the package's only one, or the one that is named as the package.",
    )
    allow_install_scripts: bool = Field(
        False,
        description="Whether programs of the packages may run while they are installed: install scripts of npm, and builds from "
        "source of PyPI.",
    )
    cache: PackageCache | None = Field(
        None, description="Keep the installation in a claim; absent: each pod installs the package when it is created."
    )

    @property
    def registry(self) -> str:
        """Where it is from: npm or pypi."""
        return "npm" if self.npm is not None else "pypi"

    @property
    def name(self) -> str:
        """Its name there."""
        return self.npm or self.pypi or ""

    @property
    def key(self) -> str:
        """A name for the folder of its installation: another one for each set of what decides its content."""
        fields = self.model_dump(exclude={"cache"}, exclude_none=True)
        digest = hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:12]
        return f"{self.name.rsplit('/', 1)[-1][:40]}-{self.version[:20]}-{digest}"


class Packages(Model):
    """Where the packages of all servers come from, and what installs them."""

    npm_registry: RegistryURL | None = Field(None, description="URL of the npm registry or its mirror; absent: the public one.")
    pypi_index: RegistryURL | None = Field(
        None, description="URL of the index (PEP 503) or its mirror, such as https://mirror.example.com/simple/; absent: PyPI."
    )
    credentials: ObjectSelector | None = Field(
        None,
        description="Secret with the credentials of both: the keys username and password (as of type "
        "kubernetes.io/basic-auth), or token; only for an npmRegistry or pypiIndex that is given. Servers never see it.",
    )
    ca_bundle: KeySelector | None = Field(
        None, description="Key of a ConfigMap with the certificate authorities (PEM) of the registries."
    )
    runner_image: ImageReference | None = Field(
        None, description="Image with Node, npm, uv and Pythons that packages are installed and run in; absent: the operator's."
    )
    egress: Egress = Field(
        default_factory=Egress,
        description="Destinations of the registries, added to the egress of servers with a package: a NetworkPolicy is about "
        "whole pods and cannot tell an installation from the server.",
    )
