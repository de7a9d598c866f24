"""The cluster as a test sees it: through kubectl, as a person would."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from .waiting import PATIENCE


class KubectlError(Exception):
    """kubectl's own words."""


@dataclass(frozen=True)
class Kubectl:
    """kubectl with a kubeconfig."""

    program: str
    kubeconfig: Path
    user: str = ""  # impersonated

    def __call__(self, *args: str, stdin: str | None = None, timeout: float = 120, check: bool = True) -> str:
        command = [self.program, *(["--as", self.user] if self.user else []), *args]
        environment = {**os.environ, "KUBECONFIG": str(self.kubeconfig)}
        done = subprocess.run(command, input=stdin, env=environment, text=True, capture_output=True, timeout=timeout, check=False)
        if check and done.returncode != 0:
            raise KubectlError(f"kubectl {' '.join(args)}: {done.stderr.strip()}")
        return done.stdout

    def apply(self, *documents: Any, namespace: str | None = None) -> str:
        """Apply documents."""
        text = yaml.safe_dump_all(documents)
        return self(
            *(["-n", namespace] if namespace else []), "apply", "--server-side", "--force-conflicts", "-f", "-", stdin=text
        )

    def get(self, *args: str) -> Any:
        """An object or a list as data."""
        return json.loads(self("get", *args, "-o", "json"))

    def find(self, *args: str) -> Any | None:
        """An object, or None."""
        try:
            return self.get(*args)
        except KubectlError as error:
            if "NotFound" in str(error) or "not found" in str(error):
                return None
            raise


def eventually(what: str, ready: Callable[[], Any], *, timeout: float = PATIENCE, every: float = 0.2) -> Any:
    """Wait until `ready` returns something true, and return that."""
    deadline = time.monotonic() + timeout
    last: BaseException | None = None
    while True:
        try:
            if outcome := ready():
                return outcome
            last = None
        except (KubectlError, AssertionError, KeyError) as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:g} s: {what}" + (f" ({last})" if last else ""))
        time.sleep(every)


def condition(resource: Any, kind: str) -> dict[str, Any]:
    """A condition of a resource, or an empty one."""
    outcome = [c for c in (resource.get("status") or {}).get("conditions", []) if c["type"] == kind]
    return outcome[0] if outcome else {}
