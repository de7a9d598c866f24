"""Which destinations are reached without the proxy; for host names the judge is Python's own reading of NO_PROXY."""

from __future__ import annotations

import urllib.request

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from mcpgateway.upstream.http.outbound import bypassed

_environment_bypasses = urllib.request.proxy_bypass_environment  # type: ignore[attr-defined]
label = st.text(alphabet="ab-", min_size=1, max_size=3).map(lambda text: f"a{text}b")
names = st.lists(label, min_size=1, max_size=3).map(".".join)
patterns = st.builds("{}{}".format, st.sampled_from(["", "."]), names)


@given(names, st.lists(patterns, min_size=1, max_size=3))
def test_host_names_as_python_reads_them(host: str, listed: list[str]) -> None:
    names = [name for name in listed if not name.startswith(".")]
    expected = _environment_bypasses(host, {"no": ",".join(names)}) if names else False
    below = any(host.endswith(name) for name in listed if name.startswith("."))
    assert bypassed(URL(f"https://{host}/mcp"), listed) == (bool(expected) or below)


@pytest.mark.parametrize(
    ("url", "pattern", "expected"),
    [
        ("https://a.example.com/", "*", True),
        ("https://a.example.com/", "*.example.com", True),
        ("https://example.com/", ".example.com", False),
        ("https://A.Example.com./", "example.COM", True),
        ("https://notexample.com/", "example.com", False),
        ("https://example.com/", "example.com:443", True),
        ("https://example.com:8443/", "example.com:443", False),
        ("http://10.1.2.3/", "10.0.0.0/8", True),
        ("http://11.1.2.3/", "10.0.0.0/8", False),
        ("http://10.1.2.3/", "10.1.2.3", True),
        ("http://[fd00::1]/", "fd00::/8", True),
        ("http://[fd00::1]/", "fd00::1", True),
        ("http://[fd00::1]/", "[fd00::1]", True),
        ("http://[fd00::2]/", "fd00::1", False),
        ("http://host/", "10.0.0.0/99", False),
    ],
)
def test_forms(url: str, pattern: str, expected: bool) -> None:
    assert bypassed(URL(url), [pattern]) is expected
