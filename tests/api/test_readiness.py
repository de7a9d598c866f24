"""The operator is ready when it sees every MCPGateway and acts, and says what is missing until then."""

from __future__ import annotations

import copy
import json
import random
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import Space
from tests.support import in_cluster, operators
from tests.support.apiproxy import EXPIRED, Answer, ApiProxy
from tests.support.cluster import SYSTEM
from tests.support.controlplane import ControlPlane
from tests.support.kubectl import eventually
from tests.support.resources import gateway

_READS = ("list", "watch")
Right = tuple[str, str]  # verb and plural


class Account:
    """The chart's own account of a namespace, whose role a test changes."""

    def __init__(self, space: Space, folder: Path) -> None:
        operators.install_rights(space.kubectl, "scope=Namespace", "crds.enabled=false", namespace=space.name)
        self.kubeconfig = operators.kubeconfig_for(space.kubectl, folder, namespace=space.name)
        self._space, self._role = space, space.get("role", "mcpgateway")

    def reads(self) -> list[Right]:
        """Its rights to list and to watch."""
        return [
            (verb, plural)
            for rule in self._role["rules"]
            for plural in rule["resources"]
            for verb in rule["verbs"]
            if verb in _READS
        ]

    def has_all_but(self, *missing: Right) -> None:
        """Give it all of the chart's rights but these."""
        rules = [
            {**rule, "resources": [plural], "verbs": [verb]}
            for rule in self._role["rules"]
            for plural in rule["resources"]
            for verb in rule["verbs"]
            if (verb, plural) not in missing
        ]
        role = {**copy.deepcopy(self._role), "rules": rules}
        for name in ("managedFields", "resourceVersion", "uid", "creationTimestamp"):
            role["metadata"].pop(name, None)
        self._space.kubectl("replace", "-f", "-", stdin=json.dumps(role))


@pytest.fixture
def account(space: Space, tmp_path: Path) -> Account:
    return Account(space, tmp_path)


def named(text: str) -> set[Right]:
    """The rights that a sentence says are missing."""
    return {(verb, plural) for verb, plural in re.findall(r"(list|watch) ([a-z]+)[a-z0-9.]* in namespace", text)}


def says(log: Path, missing: set[Right]) -> bool:
    status, text = operators.readiness(log)
    return status == 503 and named(text) == missing


def acts(space: Space, name: str) -> None:
    space.apply(gateway(name))
    eventually("its deployment", partial(space.find, "deployment", name))


def test_exactly_the_missing_rights_are_named_until_they_are_granted(space: Space, account: Account, tmp_path: Path) -> None:
    combinations = [random.sample(account.reads(), k=random.randint(1, 5)) for _ in range(3)]
    account.has_all_but(("list", "mcpgateways"))
    with operators.operator(account.kubeconfig, tmp_path, f"--namespace={space.name}") as log:
        for missing in ([("list", "mcpgateways")], [("watch", "mcpgateways")], *combinations):
            account.has_all_but(*missing)
            eventually(f"it to name {missing}", partial(says, log, set(missing)))
            assert named(log.read_text().splitlines()[-1]) == set(missing)
        assert log.read_text().count("operator started") == 1
        account.has_all_but()
        eventually("it to be ready", partial(operators.ready, log))
        acts(space, "late")


@pytest.mark.parametrize("right", [("list", "mcpgateways"), ("watch", "mcpgateways"), ("watch", "pods")])
def test_a_right_that_is_revoked_ends_readiness_and_not_the_process(
    right: Right, space: Space, account: Account, proxy: ApiProxy, tmp_path: Path
) -> None:
    through = proxy.kubeconfig(account.kubeconfig, tmp_path)
    with operators.operator(through, tmp_path, f"--namespace={space.name}") as log:
        eventually("it to be ready", partial(operators.ready, log))
        account.has_all_but(right)
        process = operators.pid(log)
        proxy.rule = lambda request: EXPIRED if request.watch and right[0] == "list" else None  # it lists again
        proxy.cut()  # a watch that is open stays allowed
        eventually("it to name the right", partial(says, log, {right}))
        proxy.rule = lambda request: None
        account.has_all_but()
        eventually("it to be ready again", partial(operators.ready, log))
        assert operators.pid(log) == process
        acts(space, "again")


def test_it_works_while_the_dns_of_the_cluster_is_away(plane: ControlPlane, space: Space, tmp_path: Path) -> None:
    """As in a pod, with the certificates of the API server; this machine resolves no name of a cluster."""
    token = plane.kubectl("create", "token", "mcpgateway", "-n", SYSTEM, "--duration=2h").strip()
    world = in_cluster.environment(plane, tmp_path, token)
    with operators.operator(Path("/nonexistent"), tmp_path, env=world, module="tests.support.in_cluster") as log:
        eventually("it to be ready", partial(operators.ready, log))
        acts(space, "without-dns")


@pytest.mark.parametrize("refused", ["lists", "watches"])
def test_it_is_not_ready_before_the_first_list_of_gateways(refused: str, proxy: ApiProxy, through: Path, tmp_path: Path) -> None:
    answers: dict[str, Callable[[Any], bool]] = {
        "lists": lambda request: not request.watch,
        "watches": lambda request: request.watch,
    }

    def rule(request: Any) -> Answer | None:
        of_gateways = request.method == "GET" and request.path.endswith("/mcpgateways")
        return Answer(503, "ServiceUnavailable") if of_gateways and answers[refused](request) else None

    proxy.rule = rule
    with operators.operator(through, tmp_path) as log:
        eventually("two attempts", lambda: len([each for each in proxy.seen if rule(each)]) >= 2)
        said = 503, "waiting for the first list of mcpgateways\n"
        eventually("it to say so", lambda: operators.readiness(log) == said)
        proxy.rule = lambda request: None
        eventually("it to be ready", partial(operators.ready, log))
