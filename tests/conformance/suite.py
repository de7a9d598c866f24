"""Runs the official conformance suite against a URL and reads what it found."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.support import npm

RUNS = {
    "2025-11-25": ("--requirements", "2025-11-25"),
    "2026-07-28": ("--requirements", "2026-07-28"),
    "all": ("--suite", "all"),
}


@dataclass(frozen=True)
class Report:
    """Checks as `scenario: check`, each with how often it came."""

    passed: Counter[str]
    failed: dict[str, str]  # with the suite's own words
    moot: frozenset[str]  # only told of: the specification leaves a choice, and the other way was taken

    def missing(self, other: Report) -> dict[str, str]:
        """What passes in another report and not here."""
        return {key: self.failed.get(key, "skipped") for key in other.passed - self.passed if key not in self.moot}


def run(url: str, *flags: str) -> Report:
    """One run of the suite's server part."""
    with tempfile.TemporaryDirectory() as name:
        command = [*npm.program("@modelcontextprotocol/conformance"), "server", "--url", url, "-o", name, *flags]
        done = subprocess.run(command, env=npm.environment(), capture_output=True, text=True, timeout=400, check=False)
        files = sorted(Path(name).glob("*/checks.json"))
        assert files, done.stdout + done.stderr
        passed: Counter[str] = Counter()
        failed: dict[str, str] = {}
        moot: set[str] = set()
        for file in files:
            scenario = file.parent.name.removeprefix("server-").rsplit("-", 6)[0]
            for check in json.loads(file.read_text()):
                key = f"{scenario}: {check['id']}"
                if check["status"] == "SUCCESS":
                    passed[key] += 1
                elif check["status"] in ("FAILURE", "WARNING"):
                    failed[key] = str(check.get("errorMessage"))
                elif check["status"] == "INFO":
                    moot.add(key)
        return Report(passed, failed, frozenset(moot))
