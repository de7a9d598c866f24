"""NetworkPolicies enforced on the test cluster's node, whose CNI plugin does not enforce them: a translator to nftables.

For the forms that we render, over IPv4. Only a connection's first packet is judged, as NetworkPolicy means it. Packets between
two pods are bridged; those to a Service are routed back, and those to the API server end here: three hooks, one judgement.
What the node itself sends (a kubelet's probes) is not judged, as everywhere.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from .kubectl import Kubectl

TABLE = "test-policies"
_HOOKS = {"bridge": ("forward",), "inet": ("forward", "input")}
_EVERY = 0.5  # seconds between looks
_FIRST = ("tcp flags & (syn | ack) == syn", "udp sport != 53")

Json = dict[str, Any]


@dataclass(frozen=True)
class World:
    """What a judgement depends on."""

    policies: list[Json]
    pods: list[Json]
    namespaces: dict[str, dict[str, str]]  # their labels

    @classmethod
    def of(cls, items: Iterable[Json]) -> World:
        """From a list of all NetworkPolicies, Pods and Namespaces."""
        kinds: dict[str, list[Json]] = {"NetworkPolicy": [], "Pod": [], "Namespace": []}
        for item in items:
            kinds[item["kind"]].append(item)
        pods = [pod for pod in kinds["Pod"] if _address(pod) and not pod["spec"].get("hostNetwork")]
        spaces = {each["metadata"]["name"]: each["metadata"].get("labels", {}) for each in kinds["Namespace"]}
        return cls(kinds["NetworkPolicy"], pods, spaces)


@contextlib.contextmanager
def enforced(kubectl: Kubectl) -> Iterator[None]:
    """Enforce all policies of a cluster whose node is this machine."""
    ended = threading.Event()
    keeper = threading.Thread(target=_keep, args=(kubectl, ended), daemon=True)
    keeper.start()
    try:
        yield
    finally:
        ended.set()
        keeper.join()
        forget()


def forget() -> None:
    """Remove the tables."""
    for family in _HOOKS:
        subprocess.run(["nft", "delete", "table", family, TABLE], check=False, capture_output=True)


def _keep(kubectl: Kubectl, ended: threading.Event) -> None:
    last = ""
    while not ended.wait(_EVERY):
        listed = kubectl("get", "networkpolicies,pods,namespaces", "-A", "-o", "json", check=False)
        try:
            wanted = ruleset(World.of(json.loads(listed)["items"]))
        except ValueError:  # the API server is busy or away: what was, stays
            continue
        if wanted != last:
            subprocess.run(["nft", "-f", "-"], input=wanted, text=True, check=True)
            last = wanted


def ruleset(world: World) -> str:
    """The whole of it, for `nft -f`: replaces what was. Pure."""
    chains: list[str] = []
    maps = {"egress": dict[str, str](), "ingress": dict[str, str]()}
    for number, pod in enumerate(world.pods):
        for direction, chosen in maps.items():
            rules = _rules(world, pod, direction)
            if rules is not None:
                name = f"{direction}-{number}"
                chosen[_address(pod)] = name
                chains.append(_chain(name, [*(f"{rule} return" for rule in rules), "counter drop"]))
    judged = [_dispatch("saddr", maps["egress"]), _dispatch("daddr", maps["ingress"])]
    chains.append(_chain("judge", [line for line in judged if line]))
    return "".join(_table(family, hooks, chains) for family, hooks in _HOOKS.items())


def _table(family: str, hooks: tuple[str, ...], chains: list[str]) -> str:
    place = f"table {family} {TABLE}"
    judged = [f"{first} jump judge" for first in _FIRST]
    bases = [_chain(f"at-{hook}", [f"type filter hook {hook} priority 10; policy accept;", *judged]) for hook in hooks]
    return f"{place} {{}}\ndelete {place}\n{place} {{\n{''.join((*chains, *bases))}}}\n"


def _chain(name: str, lines: Iterable[str]) -> str:
    return f"chain {name} {{\n" + "".join(f"  {line}\n" for line in lines) + "}\n"


def _dispatch(field: str, chosen: dict[str, str]) -> str:
    pairs = ", ".join(f"{address} : jump {name}" for address, name in sorted(chosen.items()))
    return f"ip {field} vmap {{ {pairs} }}" if pairs else ""


def _rules(world: World, pod: Json, direction: str) -> list[str] | None:
    """What a pod may do; None if no policy selects it."""
    limits = [
        policy["spec"]
        for policy in world.policies
        if policy["metadata"]["namespace"] == pod["metadata"]["namespace"]
        and _matches(policy["spec"]["podSelector"], pod["metadata"].get("labels", {}))
        and direction in [kind.lower() for kind in policy["spec"]["policyTypes"]]
    ]
    if not limits:
        return None
    side, other = ("to", "daddr") if direction == "egress" else ("from", "saddr")
    matches: list[str] = []
    for spec in limits:
        for rule in spec.get(direction, []):
            peers = _peers(world, pod, rule[side], other) if rule.get(side) else [""]
            ports = _ports(rule["ports"], pod) if rule.get("ports") else [""]
            matches += [f"{peer} {port}".strip() for peer in peers for port in ports]
    return matches


def _peers(world: World, pod: Json, peers: list[Json], field: str) -> list[str]:
    matches: list[str] = []
    for peer in peers:
        if block := peer.get("ipBlock"):
            if ":" not in block["cidr"]:
                besides = ", ".join(block.get("except", []))
                matches.append(f"ip {field} {block['cidr']}" + (f" ip {field} != {{ {besides} }}" if besides else ""))
            continue
        chosen = sorted(_address(each) for each in world.pods if _is_peer(world, pod, each, peer))
        if chosen:
            matches.append(f"ip {field} {{ {', '.join(chosen)} }}")
    return matches


def _is_peer(world: World, pod: Json, other: Json, peer: Json) -> bool:
    space = other["metadata"]["namespace"]
    if "namespaceSelector" in peer:
        there = _matches(peer["namespaceSelector"], world.namespaces.get(space, {}))
    else:
        there = space == pod["metadata"]["namespace"]
    return there and _matches(peer.get("podSelector", {}), other["metadata"].get("labels", {}))


def _ports(ports: list[Json], pod: Json) -> list[str]:
    """A port's name is one of the pod that is connected to: ours, where it is allowed by name."""
    declared = [each for part in pod["spec"]["containers"] for each in part.get("ports", [])]
    names = {each["name"]: each["containerPort"] for each in declared if "name" in each}
    return [f"{each.get('protocol', 'TCP').lower()} dport {names.get(each['port'], each['port'])}" for each in ports]


def _matches(selector: Json, labels: dict[str, str]) -> bool:
    assert set(selector) <= {"matchLabels"}, f"not a form that we render: {selector}"
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())


def _address(pod: Json) -> str:
    done = pod["status"].get("phase") in ("Succeeded", "Failed")
    return "" if done else str(pod["status"].get("podIP", ""))
