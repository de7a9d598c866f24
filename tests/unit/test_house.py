"""The house itself: what would break silently if somebody tidied up."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from mcpgateway.protocol.errors import Reason as GatewayReason
from mcpgateway_operator.reconcile.reasons import Reason as OperatorReason
from tests.support.paths import ROOT


@pytest.mark.parametrize("folder", ["operator", "gateway"])
def test_the_top_folders_are_not_packages(folder: str) -> None:
    assert not (ROOT / folder / "__init__.py").exists()


def test_the_standard_librarys_operator_is_found_from_the_root() -> None:
    code = "import operator, collections; print(operator.__file__)"
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert str(ROOT) not in out
    assert out.strip().endswith("operator.py")


def test_the_gateway_starts_without_the_sdk_and_without_pydantic() -> None:
    code = "import sys, mcpgateway.__main__; print([m for m in ('mcp', 'pydantic', 'kopf', 'aiohttp') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


def test_lock_files_carry_hashes_and_no_addresses() -> None:
    for lock in [*(ROOT / "requirements").glob("*.txt"), *(ROOT / "examples").rglob("requirements.txt")]:
        text = lock.read_text()
        assert "--hash=sha256:" in text, lock
        assert "://" not in text, lock
    package_lock = (ROOT / "examples/images/everything/package-lock.json").read_text()
    assert '"integrity"' in package_lock
    assert '"resolved"' not in package_lock


_OF_TRUE_CONDITIONS = {
    OperatorReason.VALID,
    OperatorReason.RESOLVED,
    OperatorReason.PROGRAMMED,
    OperatorReason.SERVERS_READY,
}


def test_every_reason_has_an_anchor_in_the_manual() -> None:
    reasons = {str(reason) for reason in ({*OperatorReason} - _OF_TRUE_CONDITIONS) | {*GatewayReason}}
    headings = set(re.findall(r"^### (\w+)", (ROOT / "docs/conditions.md").read_text(), re.MULTILINE))
    assert sorted(reasons - headings) == []
