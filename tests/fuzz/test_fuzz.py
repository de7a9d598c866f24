"""Fuzzing by coverage finds nothing: a sample from the corpus in `make test`, millions of inputs in `make soak`."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import Scale
from tests.support.paths import ROOT

from .targets import TARGETS


@pytest.mark.parametrize("target", TARGETS)
def test_fuzzing_a_target_finds_nothing(target: str, scale: Scale) -> None:
    runs = scale(2_000, 2_000_000)
    command = [sys.executable, "-m", "tests.fuzz", target, f"--runs={runs}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_has_a_corpus(target: str) -> None:
    assert any((ROOT / "tests" / "fuzz" / "corpus" / target).iterdir())
