"""checkov and kube-score on everything that is rendered: the chart, and the golden files of both modes.

What they find must be exactly what is listed here with its reason: a finding that is gone leaves the list, too.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import operators, pypi, tools
from tests.support.paths import ROOT

CPU = "a CPU limit throttles beside idle cores; requests give each container its share, and spec.*.resources takes limits"
PULL = "tags are not moved; Always would need the registry at each restart of a server"
LOGS = "logs count to it, so a limit would end sessions for their logs; /tmp and the bridge's volume have limits of their own"
ASKED = "this golden file's resource asks for it"
READY = "one server that is not ready must not take the gateway, and all other servers, from its clients"
DIGEST = "images are named by the resource or by the chart's values, which take digests"
STORAGE = ("storage", "storage-sidecar")
SIDECAR = ("exposure-sidecar", "sidecar", "storage-sidecar", "remote", "packages-sidecar", "platform-sidecar")
IDS = ("platform", "platform-sidecar")
HOOKS = "the pods of the chart's hooks, a Job at uninstallation and a test, live for seconds"

# Check → why it is not heeded, and where; nowhere else.
CHECKOV: dict[str, tuple[str, tuple[str, ...] | None]] = {
    "CKV_K8S_8": ("the gateway watches the bridges beside it, and a process that hangs is the bridge's to end", SIDECAR),
    "CKV_K8S_9": (READY, SIDECAR),
    "CKV_K8S_11": (CPU, None),
    "CKV_K8S_15": (PULL, None),
    "CKV_K8S_22": (ASKED, STORAGE),
    "CKV_K8S_38": ("the operator is a client of the API server", ("chart",)),
    "CKV_K8S_40": (ASKED, (*STORAGE, *IDS)),
    "CKV_K8S_43": (DIGEST, None),
    "CKV2_K8S_6": (HOOKS, ("chart",)),
}
KUBE_SCORE: dict[str, tuple[str, tuple[str, ...] | None]] = {
    "container-ephemeral-storage-request-and-limit": (LOGS, None),
    "container-image-pull-policy": (PULL, None),
    "container-resources": (CPU, None),
    "container-security-context-readonlyrootfilesystem": (ASKED, STORAGE),
    "container-security-context-user-group-id": (ASKED, (*STORAGE, *IDS)),
    "pod-networkpolicy": (f"{ASKED}; {HOOKS}", ("open-network", "chart")),
}
CRITICAL = 1  # kube-score's grade


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file for each golden case, and one for the chart with everything in it."""
    folder = tmp_path_factory.mktemp("rendered")
    chart = [document for document in operators.chart(*operators.EVERY_OPTION) if document["kind"] != "CustomResourceDefinition"]
    (folder / "chart.yaml").write_text(yaml.safe_dump_all(chart))
    for case in (ROOT / "tests" / "golden").glob("*/out.yaml"):
        (folder / f"{case.parent.name}.yaml").write_text(case.read_text())
    return folder


def run(*command: str) -> Any:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


def judge(findings: Iterator[tuple[str, str]], accepted: dict[str, tuple[str, tuple[str, ...] | None]]) -> None:
    """Findings (check, case) against the list."""
    seen = set(findings)
    unexpected = {(check, case) for check, case in seen if check not in accepted or case not in (accepted[check][1] or (case,))}
    assert unexpected == set()
    assert {check for check, _ in seen} == set(accepted)  # none is listed in vain


def test_checkov_finds_nothing_that_has_no_reason(rendered: Path) -> None:
    program = str(pypi.program("scanners", "checkov"))
    report = run(program, "--skip-download", "--quiet", "--framework", "kubernetes", "-d", str(rendered), "-o", "json")
    assert report["summary"]["passed"] > 1500
    assert report["summary"]["parsing_errors"] == 0
    judge(((f["check_id"], Path(f["file_path"]).stem) for f in report["results"]["failed_checks"]), CHECKOV)


def test_kube_score_finds_nothing_critical_that_has_no_reason(rendered: Path) -> None:
    program, findings, graded = str(tools.module("kube-score")), [], 0
    for file in sorted(rendered.glob("*.yaml")):
        for judged in run(program, "score", "--output-format", "json", str(file)):
            checks = [check for check in judged["checks"] if not check["skipped"]]
            graded += len(checks)
            findings += [(check["check"]["id"], file.stem) for check in checks if check["grade"] <= CRITICAL]
    assert graded > 500
    judge(iter(findings), KUBE_SCORE)
