"""`mcpgw` on files: what it takes, what it refuses, and with which words."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from mcpgateway_operator.api import crd, spec
from mcpgateway_operator.api.foreign_fields import foreign_names
from mcpgateway_operator.cli import app, local
from mcpgateway_operator.cli.bad_input import BadInputError
from mcpgateway_operator.cli.documents import read
from mcpgateway_operator.cli.up import require_linux
from tests.support.paths import ROOT
from tests.support.resources import WRONG


def _rules(schema: Any) -> Iterator[dict[str, str]]:
    if isinstance(schema, dict):
        yield from schema.get("x-kubernetes-validations", ())
    for child in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from _rules(child)


RULES = [rule["message"] for rule in _rules(crd.structural(spec.Spec))]
GOOD: dict[str, Any] = {
    "apiVersion": "mcpgateway.dev/v1alpha1",
    "kind": "MCPGateway",
    "metadata": {"name": "demo"},
    "spec": {"auth": {"allowUnauthenticated": True}, "servers": [{"name": "a", "image": "i", "command": ["a"]}]},
}


def changed(**spec: Any) -> dict[str, Any]:
    return {**GOOD, "spec": {**GOOD["spec"], **spec}}


def mcpgw(*args: str, **env: str) -> Result:
    """The command in this process; an exception that would be a traceback to the user fails the test."""
    done = CliRunner().invoke(app, args, env=env)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def write(folder: Path, *documents: Any) -> Path:
    file = folder / "gateway.yaml"
    file.write_text(documents[0] if isinstance(documents[0], str) else yaml.safe_dump_all(documents))
    return file


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("a: [", "not valid YAML"),
        ("- 1", "not a Kubernetes object"),
        ({**GOOD, "kind": "Pod"}, "kind is 'Pod': want MCPGateway, Secret or ConfigMap"),
        ({**GOOD, "apiVersion": "v1"}, "apiVersion is 'v1': want mcpgateway.dev/v1alpha1"),
        ({**GOOD, "metadata": {"name": "Not.Good"}}, "metadata.name is 'Not.Good'"),
        (changed(mode="Both"), "spec.mode is 'Both': want MultiPod or Sidecar"),
        (changed(auth={}), "spec.auth needs tokens; to admit every client"),
        (changed(servers=[{"name": "a", "image": "i"}]), "spec.servers[0]: command is required with image"),
        (changed(servers=[{"name": "keys", "image": "i", "command": ["x"]}]), "spec.servers[0]: name is reserved"),
        (changed(servers=GOOD["spec"]["servers"] * 2), "spec.servers[1] has 'a' a second time"),
        (
            changed(servers=[{"name": "a", "image": "i", "command": ["x"], "env": [{"name": "E"}]}]),
            "spec.servers[0].env[0]: env needs exactly one of",
        ),
        ({"kind": "Secret", "metadata": {"name": "s"}, "data": {"k": "!"}}, "data.k is not base64: use stringData"),
        ({"kind": "ConfigMap", "metadata": {"name": "c"}}, "no MCPGateway in it"),
    ],
)
def test_a_bad_file_gets_one_line_that_names_the_place(tmp_path: Path, document: Any, message: str) -> None:
    done = mcpgw("validate", str(write(tmp_path, document)))
    assert done.exit_code == 1
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


def server(**fields: Any) -> dict[str, Any]:
    return changed(servers=[{"name": "a", "image": "i", "command": ["a"], **fields}])


SECRET = "ghp_" + "a1" * 18


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (server(command="npx"), "spec.servers[0].command is 'npx': write a list: [npx]"),
        (server(args="-y pkg --flag"), "spec.servers[0].args is '-y pkg --flag': write a list: [-y, pkg, --flag]"),
        (server(env={"TOKEN": SECRET}), "spec.servers[0].env is a map: write a list, - {name: TOKEN, value: …} for each entry"),
        (server(env=["A=b"]), "spec.servers[0].env[0] is 'A=b': write a map, {name: A, …}"),
        (server(env=[{"name": "A", "value": 5}]), "spec.servers[0].env[0].value is a number: write it in quotes"),
        (server(cwd="/srv"), "spec.servers[0].cwd is not a field: start the program in it: command: [sh, -c, 'cd DIRECTORY"),
        (server(type="stdio"), "spec.servers[0].type is not a field: remove it: image stands for a program on stdio"),
        (server(disabled=True), "spec.servers[0].disabled is not a field: write state: Disabled, or remove it"),
        (server(env_from=[]), "spec.servers[0].env_from is not a field: did you mean envFrom?"),
        (server(frobnicate=1), "spec.servers[0].frobnicate is not a field: remove it, or use one of args, autoscaling"),
        (server(callTimeout=60), "spec.servers[0].callTimeout is 60: want a duration with its unit"),
        (changed(servers={"time": {"command": "x"}}), "spec.servers is a map: write a list, - {name: time, …} for each entry"),
        (changed(servers=[]), "spec.servers has 0 items: want at least 1 item"),
        (changed(servers=[None]), "spec.servers[0] is null: remove the item, or give it a value"),
        (changed(replicas="3"), "spec.replicas is '3': want a whole number: remove the quotes"),
        (changed(paused="yes"), "spec.paused is 'yes': write true, without quotes"),
        (changed(mcpServers={}), "spec.mcpServers is not a field: "),
        ("[" * 100_000, "not valid YAML: line 1: it is nested more than 100 levels deep"),
        ("a: &a [*a]", "not valid YAML: line 1: *a is inside of &a: a document cannot contain itself"),
        ({**GOOD, "spec": None}, "spec is missing: add it, with auth and servers"),
        ({**GOOD, "servers": []}, "servers is not a field of MCPGateway: put it under spec, or remove it"),
        ("a: 1\nb:\n  c: 1\n  c: 2\n", "not valid YAML: line 4: the key 'c' occurs a second time: leave one of them"),
        (
            {"kind": "Secret", "metadata": {"name": "s"}, "stringData": {"k": 5}},
            "stringData.k is a number: write a text, in quotes",
        ),
    ],
)
def test_a_mistake_of_form_gets_field_value_and_fix(tmp_path: Path, document: Any, message: str) -> None:
    done = mcpgw("validate", str(write(tmp_path, document)))
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1), done.stderr
    assert message in done.stderr
    assert SECRET not in done.stderr


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (
            server(env=[{"name": "K", "value": "${input:key}"}]),
            "spec.servers[0].env[0].value has ${input:key}, which only some clients",
        ),
        (
            server(args=["${workspaceFolder}/x"]),
            "spec.servers[0].args[0] has ${workspaceFolder}, which only some clients replace",
        ),
        (server(args=["--key=${API_KEY}"]), "spec.servers[0].args[0] has ${API_KEY}, which only some clients replace"),
        (server(env=[{"name": "K", "value": "<YOUR_KEY>"}]), "env[0].value is '<YOUR_KEY>', which stands for a value"),
        (server(command=["npx -y pkg"]), "command[0] is 'npx -y pkg', which no program is called: write one item for each word"),
        (server(command=["npx"], args=["-y pkg"]), "args[0] is '-y pkg': write one item for each word: [-y, pkg]"),
        (
            server(args=["--token", SECRET]),
            "spec.servers[0].args[1] is a text of 40 characters and holds a secret: put it into a Sec",
        ),
        (server(env=[{"name": "K", "value": SECRET}]), "env[0].value of 'K' is a text of 40 characters and looks like a secret"),
        (
            server(env=[{"name": "API_KEY", "value": "k3yk3yk3yk3yk3yk3y"}]),
            "of 'API_KEY' is a text of 18 characters and looks like",
        ),
        (server(image="NEEDS-IMAGE"), "image is 'NEEDS-IMAGE', which is not an image: want [REGISTRY/]NAME[:TAG] in lower case"),
    ],
)
def test_validate_refuses_what_a_clients_configuration_leaves_behind(tmp_path: Path, document: Any, message: str) -> None:
    done = mcpgw("validate", str(write(tmp_path, document)))
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1), done.stderr
    assert message in done.stderr
    assert SECRET not in done.stderr


@pytest.mark.parametrize(
    "document",
    [
        server(command=["sh", "-c", "exec x --dir=${HOME:-/tmp} ${WORKSPACE}"]),
        server(command=["/opt/My Program/run"], args=["a b", "$(TOKEN)"], env=[{"name": "TOKEN", "value": "x"}]),
        server(
            env=[
                {"name": "MAX_TOKENS", "value": "4096"},
                {"name": "TOKEN_FILE", "value": "/run/token"},
                {"name": "D", "value": "2026-07-28"},
            ]
        ),
        server(
            command=["/app/run", "Basic authentication-required"],
            env=[{"name": "DSN", "value": "postgres://user:$(PASSWORD)@db/x"}],
        ),
        server(image="localhost:5000/a/b_c.d:V1@sha256:" + "0" * 64),
        server(env=None),
        f"x: &x {{name: a, image: i, command: [a]}}\n{yaml.safe_dump({**GOOD, 'spec': None})}".replace(
            "spec: null", "spec: {auth: {allowUnauthenticated: true}, servers: [{<<: *x, name: b}]}"
        ).replace("x: &x", "status: &x"),
    ],
)
def test_validate_takes_what_works(tmp_path: Path, document: Any) -> None:
    assert mcpgw("validate", str(write(tmp_path, document))).stderr == ""


def test_all_mistakes_of_all_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("a: [")
    file = write(tmp_path, server(cwd="/", command="x"), {"kind": "Secret", "metadata": {"name": "s"}, "data": {"k": "!"}})
    done = mcpgw("validate", str(tmp_path / "broken.yaml"), str(file))
    for message in (
        "broken.yaml: not valid YAML",
        ".command is 'x'",
        ".cwd is not a field",
        "(document 2): data.k is not base64",
    ):
        assert message in done.stderr
    assert done.stderr.count("\n") == 4


def test_a_program_gets_the_errors_as_a_document(tmp_path: Path) -> None:
    done = mcpgw("validate", "-o", "json", str(write(tmp_path, server(cwd="/", command="x"))))
    report = json.loads(done.stdout)
    assert (done.exit_code, done.stderr, report["valid"], len(report["errors"])) == (1, "", [], 2)
    good = mcpgw("validate", "-o", "json", str(write(tmp_path, GOOD)))
    assert (good.exit_code, json.loads(good.stdout)) == (0, {"valid": ["demo"], "errors": []})


def test_no_fix_is_kept_for_a_field_that_the_schema_has() -> None:
    """A field that enters the schema takes its row out of `foreign_fields`."""

    def fields(place: tuple[str, ...]) -> dict[str, Any]:
        node = crd.structural(spec.Spec)
        for step in place[1:]:
            node = node["properties"][step]["items"]
        properties: dict[str, Any] = node["properties"]
        return properties

    assert [(place, name) for place, name in foreign_names() if name in fields(place)] == []


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    done = mcpgw("validate", str(tmp_path / "none.yaml"))
    assert (done.exit_code, "none.yaml: cannot be read: No such file or directory" in done.stderr) == (1, True)


def test_keys_prints_the_secrets_that_rendered_pods_mount() -> None:
    sample = str(ROOT / "examples" / "quickstart.yaml")
    secrets = [list(yaml.safe_load_all(mcpgw("keys", sample, "-n", "here").stdout)) for _ in range(2)]
    names = ["quickstart-keys-00000000", "quickstart-keys-00000000-2"]
    assert [[item["metadata"]["name"] for item in made] for made in secrets] == [names, names]
    assert secrets[0] != secrets[1]
    rendered = mcpgw("render", sample, "-n", "here").stdout
    for item in secrets[0]:
        assert item["metadata"]["namespace"] == "here"
        assert "ownerReferences" not in item["metadata"]
        assert f"secretName: {item['metadata']['name']}" in rendered
    assert list(secrets[0][1]["data"]) == ["private.pem", "public.pem"]


def test_the_samples_are_valid_and_render() -> None:
    for sample in sorted((ROOT / "examples").glob("*.yaml")):
        assert mcpgw("validate", str(sample)).stdout == f"valid: {sample.stem}\n"
        objects = list(yaml.safe_load_all(mcpgw("render", str(sample), "-n", "here").stdout))
        assert {o["metadata"]["namespace"] for o in objects} == {"here"}
        assert all("ownerReferences" not in o["metadata"] for o in objects)
        assert json.loads(mcpgw("render", str(sample), "-n", "here", "-o", "json").stdout) == objects


def test_references_come_from_the_files_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    env = [{"name": "T", "valueFrom": {"secretKeyRef": {"name": "my-secret", "key": "api.key"}}}]
    wanted = changed(servers=[{"name": "a", "image": "i", "command": ["a"], "env": env}])
    secret = {"kind": "Secret", "metadata": {"name": "my-secret"}, "data": {"api.key": "c2VjcmV0"}}
    documents = read([write(tmp_path, wanted, secret)])
    local.write_references(documents, documents.gateways[0], tmp_path / "refs")
    file = tmp_path / "refs" / "secrets" / "my-secret" / "api.key"
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("secret", 0o600)
    documents = read([write(tmp_path, wanted)])
    (message,) = local.missing_values(documents, documents.gateways[0])["a"]
    assert "set MCPGW_SECRET_MY_SECRET_API_KEY" in message
    local.write_references(documents, documents.gateways[0], tmp_path / "refs")
    assert not file.exists()
    monkeypatch.setenv("MCPGW_SECRET_MY_SECRET_API_KEY", "from outside")
    local.write_references(documents, documents.gateways[0], tmp_path / "refs")
    assert file.read_text() == "from outside"


@pytest.mark.parametrize("platform", ["darwin", "win32", "freebsd14"])
def test_up_says_in_one_line_where_it_cannot_run(platform: str) -> None:
    with pytest.raises(BadInputError, match=rf"^`mcpgw up` runs on Linux only, and this is {platform}: .*$"):
        require_linux(platform)
    require_linux("linux")


def test_help_and_version() -> None:
    assert "Run an MCPGateway on this machine" in mcpgw("up", "--help", COLUMNS="200").stdout
    assert mcpgw("version").stdout.startswith("mcpgw ")


def test_the_console_script_answers_as_the_command_in_this_process_does(tmp_path: Path) -> None:
    program = Path(sys.executable).parent / "mcpgw"
    for args in (["version"], ["validate", str(tmp_path / "none.yaml")]):
        done, here = subprocess.run([program, *args], capture_output=True, text=True, check=False, timeout=60), mcpgw(*args)
        assert (done.returncode, done.stdout, done.stderr) == (here.exit_code, here.stdout, here.stderr)


@pytest.mark.parametrize(("resource", "message"), WRONG)
def test_validate_refuses_what_the_api_server_refuses(tmp_path: Path, resource: dict[str, Any], message: str) -> None:
    """By the very rules of the schema: `tests/api/test_schema.py` has the same table."""
    with pytest.raises(BadInputError) as caught:
        read([write(tmp_path, resource)])
    if any(message in rule for rule in RULES):
        assert message in str(caught.value)


def test_every_violated_rule_is_reported(tmp_path: Path) -> None:
    wrong = changed(auth={}, servers=[{"name": "keys", "image": "i", "url": "https://example.com", "command": ["x"]}])
    with pytest.raises(BadInputError) as caught:
        read([write(tmp_path, wrong)])
    assert str(caught.value).count("spec") >= 3
