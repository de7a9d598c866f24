"""Kubeconfig files, with the Kubernetes client's own reader as the judge."""

from __future__ import annotations

import asyncio
import base64
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kubernetes.aio import client, config

from mcpgateway_operator.cli.bad_input import BadInputError
from mcpgateway_operator.cli.cluster.credentials import authorization, find_access, tls, with_plugin
from mcpgateway_operator.cli.cluster.kubeconfig import File, access

NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True)
CLUSTERS = st.fixed_dictionaries(
    {"server": st.sampled_from(["https://a:6443", "http://b", "https://c/prefix/"])},
    optional={"insecure-skip-tls-verify": st.booleans(), "certificate-authority-data": st.just(base64.b64encode(b"ca").decode())},
)
# Where the client of Python differs from client-go, client-go is right: with token and tokenFile the file wins, and a user name
# needs no password. Such users are not drawn.
USERS = (
    st.fixed_dictionaries({}, optional={"token": NAMES, "as": NAMES})
    | st.fixed_dictionaries({"username": NAMES, "password": NAMES}, optional={"token": NAMES})
    | st.just({"tokenFile": "token"})
)


def _some(values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(NAMES, values, min_size=1, max_size=2)


@st.composite
def kubeconfigs(draw: st.DrawFn) -> dict[str, Any]:
    """Valid ones, with several contexts."""
    clusters, users = draw(_some(CLUSTERS)), draw(_some(USERS))
    contexts = draw(
        _some(
            st.fixed_dictionaries(
                {"cluster": st.sampled_from(sorted(clusters)), "user": st.sampled_from(sorted(users))},
                optional={"namespace": NAMES},
            )
        )
    )
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": draw(st.sampled_from(sorted(contexts))),
        "clusters": [{"name": name, "cluster": item} for name, item in clusters.items()],
        "users": [{"name": name, "user": item} for name, item in users.items()],
        "contexts": [{"name": name, "context": item} for name, item in contexts.items()],
    }


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(kubeconfigs())
def test_a_kubeconfig_means_what_it_means_to_the_kubernetes_client(tmp_path: Path, content: dict[str, Any]) -> None:
    (tmp_path / "token").write_text("from-a-file\n")
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(content))
    theirs = client.Configuration()
    load: Any = config.load_kube_config
    asyncio.run(load(config_file=str(path), client_configuration=theirs))
    ours = find_access(path, None)
    assert ours.server == theirs.host.rstrip("/")
    assert ours.insecure is not theirs.verify_ssl
    headers = dict(authorization(ours))
    if theirs.api_key.get("BearerToken"):
        assert headers["Authorization"] == theirs.api_key["BearerToken"].strip()  # as client-go does with a file
    elif theirs.username:
        assert headers["Authorization"] == theirs.get_basic_auth_token()
    else:
        assert "Authorization" not in headers


GOOD: dict[str, Any] = {
    "current-context": "a",
    "clusters": [{"name": "c", "cluster": {"server": "https://x"}}],
    "users": [{"name": "u", "user": {}}],
    "contexts": [{"name": "a", "context": {"cluster": "c", "user": "u"}}, {"name": "prod", "context": {"cluster": "c"}}],
}


@pytest.mark.parametrize(
    ("change", "context", "message"),
    [
        ({}, "prd", "f: no context 'prd': did you mean 'prod'?"),
        ({"current-context": ""}, None, "f: no current context: use --context, there is a, prod"),
        ({"clusters": []}, None, "f: the context refers to cluster 'c': there is none"),
        ({"users": [{"name": "v", "user": {}}]}, None, "f: the context refers to user 'u': there is 'v'"),
        ({"clusters": [{"name": "c", "cluster": {}}]}, None, "f: cluster 'c' has no server: set its URL"),
        ({"users": [{"name": "u", "user": {"client-key-data": "?"}}]}, None, "f: client-key-data is not base64"),
        ({"users": [{"name": "u", "user": {"auth-provider": {}}}]}, None, None),
        ({"users": [{"name": "u", "user": {"auth-provider": {"name": "gcp"}}}]}, None, "f: auth-provider was removed"),
    ],
)
def test_what_is_wrong_is_said(change: dict[str, Any], context: str | None, message: str | None) -> None:
    files = [File(Path("f"), {**GOOD, **change})]
    if message is None:
        assert access(files, context).context == "a"
        return
    with pytest.raises(BadInputError) as caught:
        access(files, context)
    assert str(caught.value).startswith(message)


def test_the_first_of_several_files_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = {"clusters": [{"name": "c", "cluster": {"server": "https://other"}}], "current-context": "prod"}
    for name, content in (("one", other), ("two", GOOD)):
        (tmp_path / name).write_text(yaml.safe_dump(content))
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path}/one:{tmp_path}/two:{tmp_path}/absent")
    found = find_access(None, None)
    assert (found.context, found.server) == ("prod", "https://other")


@given(st.binary(max_size=200))
def test_any_file_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "kubeconfig"
    path.write_bytes(content)
    with pytest.raises(BadInputError):
        find_access(path, None)


PLUGIN = """
import json, os
request = json.loads(os.environ["KUBERNETES_EXEC_INFO"])
print(json.dumps({**request, "status": {"token": os.environ["WORD"] + request["kind"]}}))
"""


def plugin(**content: Any) -> dict[str, Any]:
    return {**GOOD, "users": [{"name": "u", "user": {"exec": content}}]}


def test_a_credential_plugin_is_asked() -> None:
    content = plugin(command=sys.executable, args=["-c", PLUGIN], env=[{"name": "WORD", "value": "a"}])
    found = asyncio.run(with_plugin(access([File(Path("f"), content)], None)))
    assert dict(authorization(found)) == {"Authorization": "Bearer aExecCredential"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"command": "no-such-login", "installHint": "get\nit"},
            "'no-such-login' cannot be run: No such file or directory: get it",
        ),
        ({"command": sys.executable, "args": ["-c", "exit(3)"]}, "failed with exit code 3: log in again"),
        ({"command": sys.executable, "args": ["-c", "print(1)"]}, "printed no ExecCredential with a status"),
    ],
)
def test_a_credential_plugin_that_fails_is_named(content: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInputError) as caught:
        asyncio.run(with_plugin(access([File(Path("f"), plugin(**content))], None)))
    assert message in str(caught.value)


def test_a_certificate_that_is_none_is_refused() -> None:
    cluster = {"server": "https://x", "certificate-authority-data": base64.b64encode(b"no certificate").decode()}
    found = access([File(Path("f"), {**GOOD, "clusters": [{"name": "c", "cluster": cluster}]})], None)
    with pytest.raises(BadInputError, match="a certificate or key of the kubeconfig cannot be used"):
        tls(found)


def test_a_command_starts_without_heavy_libraries() -> None:
    """What takes long to import is imported when it is needed: decision 0031."""
    code = "import sys, mcpgateway_operator.cli; print([m for m in ('pydantic', 'kubernetes', 'kopf', 'mcp', 'aiohttp', 'yaml', 'jinja2', 'celpy') if m in sys.modules])"  # noqa: E501
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"
