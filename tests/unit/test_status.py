"""An observation → conditions and per-server status."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mcpgateway_operator.api.exposure import HTTPRoute, Ingress, ParentReference
from mcpgateway_operator.api.validation import parse_spec
from mcpgateway_operator.observe.child_state import Container, Owned, Pod
from mcpgateway_operator.reconcile import conditions, events, gateway_status, server_status
from mcpgateway_operator.reconcile.finding import Finding
from mcpgateway_operator.reconcile.image_pull_quarantine import Held
from mcpgateway_operator.reconcile.observation import Observation

SPEC = parse_spec(
    {
        "auth": {"allowUnauthenticated": True},
        "servers": [{"name": "time", "image": "i", "command": ["x"]}, {"name": "git", "image": "i", "command": ["x"]}],
    }
)
NOW = "2026-11-23T12:00:00Z"


def row(name: str, state: str = "Ready", **more: Any) -> dict[str, Any]:
    return {"name": name, "state": state, "tools": 2, **more}


def pod(name: str = "g1", **more: Any) -> Pod:
    fields: dict[str, Any] = {
        "name": name,
        "uid": name,
        "component": "gateway",
        "server": "",
        "ip": "198.18.0.2",
        "created": NOW,
        "terminating": False,
        "ready": True,
        "containers": (Container("gateway", "i", running=True, ready=True),),
    }
    return Pod(**(fields | more))


DEPLOYMENT = Owned("Deployment", "gw", "u", "owner", "d", complete=True, available=1)
DEPLOYMENTS = {name: replace(DEPLOYMENT, name=name) for name in ("gw-time", "gw-git")}
SERVICE = Owned("Service", "gw", "u", "owner", "d")
REPORT = {"config": "c1", "toolCount": 4, "servers": [row("time"), row("git")]}
READY = Observation(
    name="gw",
    namespace="ns",
    operator="system/release",
    generation=3,
    spec=SPEC,
    config_digest="c1",
    gateway=DEPLOYMENT,
    deployments=DEPLOYMENTS,
    pods=(pod(),),
    reports={"g1": REPORT},
    entrances={"Service": SERVICE},
)


def built(seen: Observation, previous: dict[str, Any] | None = None, now: str = NOW) -> dict[str, Any]:
    return gateway_status.build(seen, previous=previous or {}, now=now)


def condition(seen: Observation, kind: str) -> tuple[str, str, str]:
    result = next(c for c in built(seen)["conditions"] if c["type"] == kind)
    return result["status"], result["reason"], result["message"]


def test_ready_when_the_gateway_offers_every_server() -> None:
    whole = built(READY)
    assert condition(READY, "Ready") == ("True", "ServersReady", "2 servers answer with 4 tools")
    assert (whole["readyServers"], whole["toolCount"], whole["url"]) == ("2/2", 4, "http://gw.ns.svc:8811/mcp")
    assert all(c["observedGeneration"] == 3 for c in whole["conditions"])
    assert "Reconciling" not in [c["type"] for c in whole["conditions"]]


def with_report(**changes: Any) -> Observation:
    return replace(READY, reports={"g1": {**REPORT, **changes}})


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (replace(READY, spec=SPEC.model_copy(update={"replicas": 0})), ("False", "ScaledToZero")),
        (replace(READY, gateway=None), ("False", "GatewayNotReady")),
        (replace(READY, gateway=replace(DEPLOYMENT, available=0)), ("False", "GatewayNotReady")),
        (replace(READY, reports={}), ("Unknown", "StatusUnreachable")),
        (with_report(config="older"), ("False", "ConfigurationPending")),
        (with_report(config="older", configError="config.json: $.x"), ("False", "ConfigurationRefused")),
        (with_report(missingTokens=["s/k"]), ("False", "MissingReference")),
        (with_report(servers=[row("time"), row("git", "Failed")]), ("False", "ServerNotReady")),
        (with_report(servers=[row("time")]), ("False", "ServerNotReady")),
    ],
)
def test_ready_names_the_first_problem(seen: Observation, expected: tuple[str, str]) -> None:
    assert condition(seen, "Ready")[:2] == expected


def test_the_reason_names_the_server_and_its_error() -> None:
    error = {"reason": "StartFailed", "message": 'ENOENT: command "x" is not on PATH'}
    seen = with_report(servers=[row("time"), row("git", "Failed", lastError=error)])
    assert condition(seen, "Ready")[2] == 'server git is Failed: StartFailed: ENOENT: command "x" is not on PATH'


def test_a_missing_reference_is_a_condition_of_its_own() -> None:
    error = {"reason": "MissingReference", "message": "not there: secrets/s/k"}
    seen = with_report(servers=[row("time"), row("git", "Failed", lastError=error)])
    assert condition(seen, "ResolvedRefs") == ("False", "MissingReference", "server git: not there: secrets/s/k")


def test_the_kubelets_reason_replaces_no_address() -> None:
    broken = pod(
        "s1",
        component="server",
        server="git",
        containers=(Container("mcp-git", "i", running=False, ready=False, reason="ErrImagePull", message="no such image"),),
    )
    unreachable = {"reason": "NoAddress", "message": "no pod"}
    seen = replace(with_report(servers=[row("time"), row("git", "Failed", lastError=unreachable)]), pods=(pod(), broken))
    assert "ErrImagePull: no such image" in condition(seen, "Ready")[2]


def test_a_quarantined_server_keeps_its_reason_and_time() -> None:
    held = {"git": Held("ErrImagePull", "no such image", "2026-11-23T11:59:00Z")}
    seen = replace(with_report(servers=[row("time")]), held=held)
    git = next(s for s in built(seen)["servers"] if s["name"] == "git")
    assert git["state"] == "Quarantined"
    assert git["lastError"] == {"reason": "ErrImagePull", "message": "no such image", "time": "2026-11-23T11:59:00Z"}


def test_the_transition_time_changes_only_with_the_status() -> None:
    first = built(READY)
    later = built(with_report(servers=[row("time"), row("git", "Failed")]), first, "2026-11-23T13:00:00Z")
    times = {c["type"]: c["lastTransitionTime"] for c in later["conditions"]}
    assert times["Ready"] == "2026-11-23T13:00:00Z"
    assert times["Accepted"] == NOW


def test_the_worst_of_several_gateway_pods_counts() -> None:
    other = {**REPORT, "servers": [row("time"), row("git", "Failed")]}
    seen = replace(READY, pods=(pod(), pod("g2")), reports={"g1": REPORT, "g2": other})
    assert condition(seen, "Ready")[1] == "ServerNotReady"


def test_a_server_that_cannot_start_for_new_clients_is_not_ready() -> None:
    error = {"reason": "Exited", "message": "its process ended, exit code 1: no licence"}
    degraded = with_report(servers=[row("time", "Degraded", failedStarts=6, lastError=error), row("git")])
    seen = replace(degraded, pods=(pod("g1"), pod("g2")), reports={**degraded.reports, "g2": REPORT})
    assert condition(seen, "Ready") == (
        "False",
        "ServerNotReady",
        "server time is Degraded: Exited: its process ended, exit code 1: no licence",
    )
    assert {server["name"]: server["failedStarts"] for server in built(seen)["servers"]} == {"time": 6, "git": 0}


def test_what_a_server_says_of_itself_is_cut_to_the_schemas_lengths() -> None:
    lengths = {"era": 16, "protocolVersion": 32, "isolation": 16, "digest": 80}
    error = {"reason": "ProtocolError", "message": "m" * 5000}
    odd = row("git", **dict.fromkeys(lengths, "x" * 5000), lastError=error)
    (server,) = (found for found in built(with_report(servers=[row("time"), odd]))["servers"] if found["name"] == "git")
    assert {fact: len(server[fact]) for fact in lengths} == lengths
    assert len(server["lastError"]["message"]) <= 2048


def test_limits_that_do_not_fit_are_mentioned_in_a_true_ready() -> None:
    error = {"reason": "MemoryShort", "message": "its memory has room for about 7 processes"}
    assert condition(with_report(servers=[row("time", lastError=error), row("git")]), "Ready") == (
        "True",
        "ServersReady",
        "2 servers answer with 4 tools; server time is Ready: MemoryShort: its memory has room for about 7 processes",
    )


def test_a_failure_to_apply_stalls() -> None:
    seen = replace(READY, failure=Finding("False", "Conflict", "Service gw already exists"))
    assert condition(seen, "Programmed") == ("False", "Conflict", "Service gw already exists")
    assert condition(seen, "Stalled")[0] == "True"


def test_a_conflict_is_not_ready_and_shows_no_url() -> None:
    conflict = Finding("False", "Conflict", "Service gw already exists")
    seen = replace(READY, failure=conflict, conflict=conflict)
    assert condition(seen, "Ready") == ("False", "Conflict", "Service gw already exists")
    assert condition(replace(seen, conflict=None), "Ready")[0] == "True", "an aid of the gateway is in conflict"
    assert "url" not in built(replace(seen, entrances={}))
    assert condition(replace(READY, failure=Finding("False", "Forbidden", "patch Service gw")), "Ready")[0] == "True"


def test_a_changed_number_of_processes_alone_is_not_written() -> None:
    before, after = built(READY), built(with_report(servers=[row("time", processes=9), row("git")]))
    assert before != after
    assert server_status.significant(before) == server_status.significant(after)


def test_accepted_mentions_session_affinity_of_several_replicas() -> None:
    assert condition(READY, "Accepted")[2] == "the spec is valid"
    several = replace(READY, spec=SPEC.model_copy(update={"replicas": 2}))
    assert "sessionAffinity: ClientIP" in condition(several, "Accepted")[2]
    assert "Ingress" not in condition(several, "Accepted")[2]


def test_accepted_says_which_ways_to_several_replicas_need_an_affinity_of_their_own() -> None:
    ways = {"ingress": Ingress(host="a.example.com"), "http_route": HTTPRoute(parent_refs=(ParentReference(name="g"),))}
    behind = replace(READY, spec=SPEC.model_copy(update=ways))
    assert condition(behind, "Accepted")[2] == "the spec is valid"
    message = condition(replace(READY, spec=SPEC.model_copy(update={"replicas": 2} | ways)), "Accepted")[2]
    assert "by which ingress-nginx does so for each session; another controller ignores them" in message
    assert "an HTTPRoute has no such field: configure its controller to hash by the header Mcp-Session-Id" in message
    assert len(message) < 1024


def test_events_are_for_transitions_and_warn_only_of_problems() -> None:
    ready, broken = built(READY), built(with_report(servers=[row("time"), row("git", "Failed")]))
    assert events.transitions(ready, ready) == []
    assert [f.reason for f in events.transitions(ready, broken)] == ["ServerNotReady"]
    assert events.is_problem(events.transitions(ready, broken)[0])
    assert [f.reason for f in events.transitions({}, built(replace(READY, gateway=None)))] == ["GatewayNotReady"]
    assert not events.is_problem(Finding("False", "GatewayNotReady", ""))


class TestPinning:
    """Tool definitions that differ from the approved or the last ones."""

    def seen(self, policy: str, digest: str, *, state: str = "Ready", **pins: str) -> Observation:
        spec = SPEC.model_copy(update={"tool_pinning": policy})
        seen = with_report(servers=[row("time", digest=digest, state=state), row("git")])
        return replace(seen, spec=spec, pins=pins)

    def error(self, written: dict[str, Any]) -> dict[str, Any]:
        return next((s.get("lastError", {}) for s in written["servers"] if s["name"] == "time"), {})

    def test_changed_tools_are_reported_until_they_are_approved(self) -> None:
        first = built(self.seen("Warn", "sha256:a"))
        assert self.error(first) == {}
        second = built(self.seen("Warn", "sha256:b"), first)
        assert self.error(second)["reason"] == "ToolsChanged"
        assert "tools.mcpgateway.dev/time=sha256:b" in self.error(second)["message"]
        assert [f.reason for f in events.transitions(first, second)] == ["ToolsChanged"]
        third = built(self.seen("Warn", "sha256:b"), second)
        assert self.error(third) == self.error(second)
        assert events.transitions(second, third) == []
        assert self.error(built(self.seen("Warn", "sha256:b", time="sha256:b"), third)) == {}

    def test_tools_changed_while_the_server_was_away_are_reported(self) -> None:
        first = built(self.seen("Warn", "sha256:a"))
        away = built(self.seen("Warn", "", state="Failed"), first)
        assert self.error(built(self.seen("Warn", "sha256:b"), away))["reason"] == "ToolsChanged"

    def test_unapproved_tools_are_not_ready_and_the_message_has_the_command(self) -> None:
        pending = self.seen("Enforce", "sha256:a", state="Pending")
        assert condition(pending, "Ready")[1] == "ServerNotReady"
        command = "kubectl -n ns annotate mcpgateway gw --overwrite tools.mcpgateway.dev/time=sha256:a"
        assert condition(pending, "Ready")[2].endswith(command)
        assert condition(self.seen("Enforce", "sha256:a", time="sha256:a"), "Ready")[1] == "ServersReady"

    def test_changed_tools_are_not_reported_while_pinning_is_off(self) -> None:
        first = built(self.seen("Off", "sha256:a"))
        assert self.error(built(self.seen("Off", "sha256:b"), first)) == {}


def test_an_absent_optional_server_is_mentioned_in_a_true_ready() -> None:
    servers = tuple(s.model_copy(update={"optional": s.name == "git"}) for s in SPEC.servers)
    seen = replace(with_report(servers=[row("time"), row("git", "Failed")]), spec=SPEC.model_copy(update={"servers": servers}))
    assert condition(seen, "Ready") == ("True", "ServersReady", "1 servers answer with 4 tools; optional server git is Failed")
    assert built(seen)["readyServers"] == "1/2"


@pytest.mark.parametrize(
    ("spec", "url"),
    [
        ({"ingress": {"host": "a.example"}}, "http://a.example/mcp"),
        ({"ingress": {"host": "a.example", "path": "/team/", "tlsSecretName": "t"}}, "https://a.example/team/mcp"),
        ({"httpRoute": {"parentRefs": [{"name": "g"}], "hostnames": ["b.example"]}}, "http://b.example/mcp"),
        (
            {"httpRoute": {"parentRefs": [{"name": "g"}], "hostnames": ["b.example"], "path": "/team/b/"}},
            "http://b.example/team/b/mcp",
        ),
        (
            {"httpRoute": {"parentRefs": [{"name": "g", "sectionName": "https-b"}], "hostnames": ["b.example"]}},
            "https://b.example/mcp",
        ),
        ({"httpRoute": {"parentRefs": [{"name": "g"}]}}, "http://[2001:db8::1]:8811/mcp"),
    ],
)
def test_the_url_is_that_of_the_route_ingress_or_load_balancer(spec: dict[str, Any], url: str) -> None:
    raw = SPEC.model_dump(by_alias=True, exclude_none=True) | spec
    service = replace(SERVICE, hosts=("2001:db8::1",))
    entrances = {kind: replace(service, kind=kind) for kind in ("Service", "Ingress", "HTTPRoute")}
    assert built(replace(READY, spec=parse_spec(raw), entrances=entrances))["url"] == url
    inside = "http://[2001:db8::1]:8811/mcp"
    assert built(replace(READY, spec=parse_spec(raw), entrances={"Service": service}))["url"] == inside


def test_a_gateway_whose_service_was_deleted_is_not_ready_and_has_no_url() -> None:
    """O11: a paused gateway, whose Service the operator does not create again."""
    seen = replace(READY, spec=SPEC.model_copy(update={"paused": True}), entrances={})
    assert condition(seen, "Ready") == (
        "False",
        "ServiceMissing",
        "Service gw does not exist, so no client reaches the gateway; spec.paused keeps it from being created",
    )
    assert "url" not in built(seen)


class TestAccepted:
    """A restarted operator does not validate again what the same version has accepted."""

    def resource(self, **changes: Any) -> dict[str, Any]:
        return {"metadata": {"generation": 7}, "status": {**built(replace(READY, generation=7)), **changes}}

    def test_true_for_this_version_and_generation(self) -> None:
        assert conditions.accepted(self.resource())

    @pytest.mark.parametrize(
        "change",
        [
            {"version": "0.0.9"},
            {"observedGeneration": 6},
            {"conditions": []},
            {"conditions": [{"type": "Accepted", "status": "False"}]},
        ],
    )
    def test_false_otherwise(self, change: dict[str, Any]) -> None:
        assert not conditions.accepted(self.resource(**change))

    def test_false_without_a_status(self) -> None:
        assert not conditions.accepted({"metadata": {"generation": 1}})


class TestRollouts:
    """Programmed, Reconciling and Stalled during a rollout, while the previous version serves."""

    def rolling(self, *, reason: str = "", kind: str = "server", template: str = "new", **changes: Any) -> Observation:
        """Server git, or the gateway, has a new pod whose container waits for this reason."""
        container = Container("mcp-git" if kind == "server" else "gateway", "i", running=False, ready=False, reason=reason)
        fields = {"component": kind, "server": "git" if kind == "server" else "", "template": template, "ready": False}
        new = pod("new", created="2026-11-23T12:05:00Z", containers=(container,), **fields)
        if kind == "gateway":
            return replace(READY, gateway=replace(DEPLOYMENT, complete=False, **changes), pods=(pod(), new))
        deployments = DEPLOYMENTS | {"gw-git": replace(DEPLOYMENT, complete=False, **changes)}
        return replace(READY, deployments=deployments, pods=(pod(), new))

    def types(self, seen: Observation) -> set[str]:
        return {c["type"] for c in built(seen)["conditions"]}

    def test_a_rollout_of_a_server_is_progressing_until_it_is_complete(self) -> None:
        seen = self.rolling()
        assert condition(seen, "Programmed") == ("False", "Progressing", "the rollout of server git is not complete")
        assert condition(seen, "Reconciling")[1] == "Progressing"
        assert condition(seen, "Ready")[0] == "True", "the previous version serves"
        assert "Stalled" not in self.types(seen)

    def test_a_server_without_a_deployment_is_progressing(self) -> None:
        seen = replace(READY, deployments={"gw-time": DEPLOYMENT})
        assert condition(seen, "Programmed")[1:] == ("Progressing", "the rollout of server git is not complete")

    @pytest.mark.parametrize("kind", ["server", "gateway"])
    @pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff", "CrashLoopBackOff", "CreateContainerConfigError"])
    def test_a_pod_that_cannot_start_stalls_the_rollout_and_names_the_cause(self, kind: str, reason: str) -> None:
        seen = self.rolling(reason=reason, kind=kind)
        subject = "server git" if kind == "server" else "the gateway"
        assert condition(seen, "Programmed")[:2] == ("False", "RolloutFailed")
        assert condition(seen, "Programmed")[2].startswith(f"the rollout of {subject} is stuck: {reason}: ")
        assert condition(seen, "Stalled")[:2] == ("True", "RolloutFailed")
        assert "Reconciling" not in self.types(seen)
        assert condition(seen, "Ready")[0] == "True"
        problems = [f for f in events.transitions(built(READY), built(seen)) if events.is_problem(f)]
        assert [f.reason for f in problems] == ["RolloutFailed"]

    def test_the_servers_last_error_is_the_cause_while_the_previous_version_serves(self) -> None:
        git = next(s for s in built(self.rolling(reason="ErrImagePull"))["servers"] if s["name"] == "git")
        assert (git["state"], git["lastError"]["reason"]) == ("Ready", "ErrImagePull")

    def test_a_pod_of_the_previous_template_is_no_cause(self) -> None:
        seen = self.rolling(reason="CrashLoopBackOff", template="old")
        newest = pod("newest", component="server", server="git", created="2026-11-23T12:06:00Z", template="new")
        seen = replace(seen, pods=(*seen.pods, newest))
        assert condition(seen, "Programmed")[1:] == ("Progressing", "the rollout of server git is not complete")

    def test_pods_refused_by_admission_stall_the_rollout(self) -> None:
        seen = self.rolling(problem="exceeded quota: cpu")
        assert condition(seen, "Stalled")[1:] == (
            "RolloutFailed",
            "the rollout of server git is stuck: PodsRejected: exceeded quota: cpu",
        )

    def test_an_exceeded_progress_deadline_stalls_the_rollout(self) -> None:
        assert condition(self.rolling(deadline_exceeded=True), "Stalled")[1] == "RolloutFailed"

    def test_a_pod_that_waits_for_a_node_is_progressing_and_named(self) -> None:
        seen = self.rolling()
        waiting = replace(seen.pods[1], problem="0/3 nodes are available")
        message = "the rollout of server git is not complete: Unschedulable: 0/3 nodes are available"
        assert condition(replace(seen, pods=(pod(), waiting)), "Programmed")[1:] == ("Progressing", message)

    def test_an_optional_server_does_not_count(self) -> None:
        servers = tuple(s.model_copy(update={"optional": s.name == "git"}) for s in SPEC.servers)
        seen = replace(self.rolling(reason="ErrImagePull"), spec=SPEC.model_copy(update={"servers": servers}))
        assert condition(seen, "Programmed")[0] == "True"

    def arriving(self, reason: str, **more: Any) -> Observation:
        """Server git serves in its previous version; the gateway asks the new one."""
        seen = self.rolling()
        rows = [row("time"), row("git", arrival={"reason": reason, "message": "no such program"}, **more)]
        return replace(seen, reports={"g1": {**REPORT, "servers": rows}})

    @pytest.mark.parametrize("reason", ["StartFailed", "CrashLoopBackOff", "Timeout", "ProtocolError"])
    def test_a_version_that_does_not_answer_stalls_the_rollout_while_the_previous_one_serves(self, reason: str) -> None:
        seen = self.arriving(reason)
        assert condition(seen, "Stalled")[1:] == (
            "RolloutFailed",
            f"the rollout of server git is stuck: {reason}: no such program",
        )
        assert condition(seen, "Ready")[0] == "True"
        git = next(server for server in built(seen)["servers"] if server["name"] == "git")
        assert (git["state"], git["lastError"]["reason"]) == ("Ready", reason)

    @pytest.mark.parametrize("reason", ["Connecting", "Unreachable", "MissingReference", "Exited"])
    def test_a_version_that_may_still_answer_is_progressing(self, reason: str) -> None:
        """A Secret often comes later in the same apply, and a process may end once by accident."""
        seen = self.arriving(reason)
        assert condition(seen, "Programmed")[:2] == ("False", "Progressing")
        assert condition(seen, "Programmed")[2].endswith(f"{reason}: no such program")
        assert "Stalled" not in self.types(seen)

    def sidecar(self, git: dict[str, Any], *, complete: bool, **more: Any) -> Observation:
        """A pod of the newest template, of which server git is like this, beside one of the previous template or not."""
        new = pod("new", created="2026-11-23T12:05:00Z", ready=complete, template="new")
        reports = {"new": {**REPORT, "servers": [row("time", era="legacy"), git]}} | ({} if complete else {"g1": REPORT})
        return replace(
            READY,
            spec=SPEC.model_copy(update={"mode": "Sidecar"}),
            gateway=replace(DEPLOYMENT, complete=complete),
            deployments={},
            pods=(new,) if complete else (pod(), new),
            reports=reports,
            **more,
        )

    @pytest.mark.parametrize("complete", [True, False])
    def test_a_server_of_a_sidecar_pod_that_has_never_answered_stalls_the_rollout(self, complete: bool) -> None:
        error = {"reason": "StartFailed", "message": "no such program"}
        seen = self.sidecar(row("git", "Failed", lastError=error), complete=complete)
        expected = "the rollout of server git is stuck: StartFailed: no such program"
        assert condition(seen, "Stalled")[1:] == ("RolloutFailed", expected)
        assert condition(seen, "Ready")[0] == ("False" if complete else "True")

    def test_one_that_exits_again_and_again_stalls_it_too(self) -> None:
        error = {"reason": "Exited", "message": "no licence"}
        for restarts, reason in ((1, "Progressing"), (3, "RolloutFailed")):
            seen = self.sidecar(row("git", "Failed", lastError=error, restarts=restarts), complete=False)
            assert condition(seen, "Programmed")[1] == reason

    def test_one_that_has_answered_and_fails_later_is_rolled_out(self) -> None:
        error = {"reason": "Exited", "message": "killed"}
        seen = self.sidecar(row("git", "Failed", era="legacy", lastError=error), complete=True)
        assert condition(seen, "Programmed")[0] == "True"
        assert condition(seen, "Ready")[1] == "ServerNotReady"

    def test_one_without_an_answer_yet_is_progressing(self) -> None:
        seen = self.sidecar(row("git", "Connecting"), complete=True)
        assert condition(seen, "Programmed")[1] == "Progressing"

    def test_a_server_that_is_left_out_is_not_rolled_out(self) -> None:
        held = {"git": Held("ErrImagePull", "no such image", NOW)}
        seen = replace(self.sidecar(row("git"), complete=True), held=held)
        assert condition(seen, "Stalled")[2] == "the rollout of server git is stuck: ErrImagePull: no such image"

    def test_a_remote_server_that_is_away_is_no_rollout_but_an_edit_of_its_url_is(self) -> None:
        raw = SPEC.model_dump(by_alias=True, exclude_none=True)
        spec = parse_spec({**raw, "servers": [raw["servers"][0], {"name": "git", "url": "https://git.example/mcp"}]})
        away = row("git", "Failed", lastError={"reason": "Unreachable", "message": "nothing answers"})
        for rows, programmed in (
            ([row("time"), away], "True"),
            ([row("time"), {**row("git"), "arrival": away["lastError"]}], "False"),
        ):
            seen = replace(READY, spec=spec, reports={"g1": {**REPORT, "servers": rows}})
            assert condition(seen, "Programmed")[0] == programmed

    def test_servers_of_a_gateway_that_is_scaled_to_zero_cannot_be_asked(self) -> None:
        seen = replace(self.rolling(), spec=SPEC.model_copy(update={"replicas": 0}))
        assert condition(seen, "Programmed")[0] == "True"

    def test_nothing_is_programmed_as_far_as_is_known_while_no_gateway_answers(self) -> None:
        assert condition(replace(READY, reports={}), "Programmed")[:2] == ("Unknown", "StatusUnreachable")
