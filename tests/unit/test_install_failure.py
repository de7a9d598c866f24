"""What package installers write when they fail becomes one line with the cause."""

from __future__ import annotations

import pytest

from mcpgateway_operator.cli.install_failure import cause

LOG = "npm error A complete log of this run can be found in: /home/me/.npm/_logs/2026-11-27T00_00_00_000Z-debug-0.log\n"


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (
            "npm error code ETARGET\nnpm error notarget No matching version found for pkg@9.9.9.\n" + LOG,
            "there is no such version (No matching version found for pkg@9.9.9.)",
        ),
        (
            "npm error code E404\nnpm error 404 Not Found - GET https://registry.example/pkg\nnpm error 404\n" + LOG,
            "there is no such package (Not Found - GET https://registry.example/pkg)",
        ),
        ("npm error code ENOSPC\nnpm error errno -28\nnpm error nospc no space left on device\n", "the disk is full ("),
        (
            "npm error code E401\nnpm error Incorrect or missing password.\n",
            "the registry refuses the credentials, or wants some (",
        ),
        (
            "npm error code ECONNREFUSED\nnpm error network request to https://r.example failed\n",
            "the registry cannot be reached (",
        ),
        (
            "npm error code SELF_SIGNED_CERT_IN_CHAIN\nnpm error self-signed certificate\n",
            "the registry's certificate is not trusted (",
        ),
        (
            "ERROR: Could not find a version that satisfies the requirement p==1 (from versions: none)\n"
            "ERROR: No matching distribution found for p==1\n",
            "there is no such package (Could not find",
        ),
        (
            "ERROR: Could not find a version that satisfies the requirement p==1 (from versions: 2, 3)\n"
            "ERROR: No matching distribution found for p==1\n",
            "there is no such version (Could not find",
        ),
        (
            "  × No solution found when resolving dependencies:\n  ╰─▶ Because there is no version of p==9\n",
            "there is no such version (",
        ),
        (
            "ERROR: Ignored the following versions that require a different python version: 1 Requires-Python >=3.14",
            "it needs another",
        ),
        (
            "Failed to fetch: `https://user:secret@r.example/simple/p/`\n",
            "the registry cannot be reached (Failed to fetch: `https://r.ex",
        ),
        ("", "exit code 1, without a word"),
        ("npm error code 1\n" + LOG, "exit code 1, without a word"),
        ("something else\n", "something else"),
    ],
)
def test_the_cause_is_named(output: str, words: str) -> None:
    line = cause(output, code=1)
    assert line.startswith(words)
    assert "\n" not in line
    assert "secret" not in line
