"""`mcpgw` as a process, as its users run it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .paths import ROOT
from .waiting import PATIENCE

PROGRAM = str(Path(sys.executable).parent / "mcpgw")


@dataclass(frozen=True)
class Done:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Its output as JSON."""
        return json.loads(self.out)

    @property
    def error(self) -> str:
        """The one line of its error."""
        (line,) = self.err.splitlines()
        return line


class Command:
    """`mcpgw` with one environment, that of the user who is meant."""

    def __init__(self, **env: str) -> None:
        self.environment = {**os.environ, "NO_COLOR": "1", **env}

    def __call__(self, *args: str, stdin: str = "", code: int | None = 0) -> Done:
        """Run it to its end. A traceback, or another exit code than `code` (None: any), fails the test."""
        ran = subprocess.run(
            [PROGRAM, *args],
            input=stdin,
            env=self.environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        done = Done(ran.returncode, ran.stdout, ran.stderr)
        assert "Traceback" not in done.err, done.err
        assert code in (None, done.code), (done.code, done.out, done.err)
        return done
