"""The doctor's findings: every reason of the manual has a command that helps, and the cause comes before what follows from it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcpgateway_operator.cli.target.model import Reference
from mcpgateway_operator.cli.verbs import advice
from mcpgateway_operator.cli.verbs.diagnosis import Evidence, findings, steps
from mcpgateway_operator.cli.verbs.doctor import references
from tests.support.paths import ROOT

MANUAL = (ROOT / "docs" / "conditions.md").read_text()
CONDITIONS, SERVERS = (
    [name for heading in re.findall(r"^### (.+)$", part, re.MULTILINE) for name in re.findall(r"[A-Z]\w+", heading)]
    for part in MANUAL.partition("## Reasons of conditions")[2].split("## Servers")
)
SERVERS.remove("Packages")  # a group of reasons, in a table
_PACKAGES = MANUAL.partition("### Packages")[2].partition("\n## ")[0]
SERVERS += [name for row in re.findall(r"^\| (`[^|]+)\|", _PACKAGES, re.MULTILINE) for name in re.findall(r"`([A-Z]\w+)`", row)]
CLUSTER = {"kubectl": "kubectl -n prod", "mcpgw": "-g web -n prod"}
LOCAL = {"mcpgw": "--local -g web", "file": "/home/me/gateway.yaml"}


def gateway(*servers: dict[str, Any], **conditions: tuple[str, str, str]) -> dict[str, Any]:
    items = [{"type": kind, "status": s, "reason": reason, "message": words} for kind, (s, reason, words) in conditions.items()]
    names = [{"name": server["name"]} for server in servers]
    status = {"conditions": items, "servers": list(servers)}
    return {"metadata": {"name": "web"}, "spec": {"servers": names}, "status": status}


def server(reason: str, state: str = "Failed", name: str = "db") -> dict[str, Any]:
    return {"name": name, "state": state, "lastError": {"reason": reason, "message": "because"}}


READY = ("True", "ServersReady", "fine")


@pytest.mark.parametrize("reason", CONDITIONS)
def test_every_reason_of_a_condition_has_a_command(reason: str) -> None:
    assert reason in advice.CONDITIONS
    words = "set the chart value optionalAPIs.ingress=true"
    (cause,) = findings(Evidence(gateway(Programmed=("False", reason, words)), CLUSTER))
    assert reason in cause.sentence
    assert "{" not in cause.command.replace('{"spec":{"paused":false}}', "")
    assert "web" in cause.command or cause.command.startswith(("helm ", "kubectl "))
    if reason == "APIDisabled":
        assert cause.command.endswith("--set optionalAPIs.ingress=true")


@pytest.mark.parametrize("place", [CLUSTER, LOCAL])
@pytest.mark.parametrize("reason", SERVERS)
def test_every_reason_of_a_server_has_a_command(reason: str, place: dict[str, str]) -> None:
    if reason not in ("Degraded", "Unresponsive"):  # which are states
        assert reason in advice.SERVERS
    (cause,) = findings(Evidence(gateway(server(reason), Ready=("False", "ServerNotReady", "db")), place))
    assert (reason in cause.sentence, "'db'" in cause.sentence) == (True, True)
    assert not re.search(r"\{(?!EDITOR)", cause.command)


def test_the_cause_comes_before_what_follows_from_it() -> None:
    missing = Reference("Secret", "s", "k")
    broken = gateway(
        server("MissingReference"), Ready=("False", "ServerNotReady", "db"), ResolvedRefs=("False", "MissingReference", "x")
    )
    assert findings(Evidence(broken, CLUSTER, absent=(missing,)))[0].command == (
        "kubectl -n prod create secret generic s --from-literal=k=VALUE"
    )
    waiting = gateway(server("Exited"), Programmed=("False", "Progressing", "x"), Ready=("False", "ServerNotReady", "db"))
    assert findings(Evidence(waiting, CLUSTER))[0].command == "mcpgw logs -g web -n prod db"
    assert [cause.broken for cause in findings(Evidence(waiting, CLUSTER))] == [True, False]


def test_a_resource_that_no_operator_has_seen() -> None:
    (cause,) = findings(Evidence({"metadata": {"name": "web"}, "spec": {}}, CLUSTER))
    assert cause.command == "kubectl get pods --all-namespaces -l app.kubernetes.io/name=mcpgateway-operator"


def test_a_healthy_gateway_that_no_client_can_use() -> None:
    (cause,) = findings(Evidence(gateway(Ready=READY), CLUSTER, call="the gateway refuses its clients with 401"))
    assert (cause.broken, "401" in cause.sentence) == (True, True)
    (cause,) = findings(Evidence(gateway(server("Exited", "Ready"), Ready=READY), CLUSTER, tools=3))
    assert (cause.broken, cause.sentence) == (False, "web is healthy: a client gets 3 tools.")


def test_the_last_lines_of_a_process_are_shown() -> None:
    evidence = Evidence(gateway(server("Exited")), CLUSTER, exits={"db": {"code": 3, "stderr": ["a", "b", "c", "no database"]}})
    assert [step.words for step in steps(evidence)][-3:] == ["b", "c", "no database"]


WORDS = st.text(max_size=40)
ROWS = st.builds(
    lambda reason, state, words: {"name": "db", "state": state, "lastError": {"reason": reason, "message": words}},
    st.sampled_from(SERVERS) | WORDS,
    st.sampled_from(["Ready", "Failed", "Unknown", "Degraded"]),
    WORDS,
)
CONDITION = st.tuples(st.sampled_from(["True", "False", "Unknown"]), st.sampled_from(CONDITIONS) | WORDS, WORDS)


@given(st.lists(ROWS, max_size=3), st.dictionaries(st.sampled_from(["Accepted", "Programmed", "Ready"]), CONDITION))
def test_every_status_ends_in_one_sentence_and_one_command(rows: list[dict[str, Any]], conditions: dict[str, Any]) -> None:
    evidence = Evidence(gateway(*rows, **conditions), CLUSTER)
    cause = findings(evidence)[0]
    assert cause.sentence[-1] in ".!?"
    assert "\n" not in cause.sentence + cause.command
    list(steps(evidence))


def test_the_references_of_a_spec() -> None:
    spec = {
        "auth": {"tokens": [{"name": "a", "secretKeyRef": {"name": "t", "key": "token"}}]},
        "servers": [
            {"envFrom": [{"configMapRef": {"name": "c"}}, {"secretRef": {"name": "o", "optional": True}}]},
            {"env": [{"name": "E", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]},
        ],
    }
    expected = [Reference("Secret", "t", "token"), Reference("ConfigMap", "c", ""), Reference("Secret", "s", "k")]
    assert list(references(spec)) == expected
