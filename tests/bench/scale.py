"""Many gateways on a real API server: how long the operator needs, and what it costs. No pods: there is no scheduler."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.support import operators
from tests.support.kubectl import Kubectl, eventually
from tests.support.resources import gateway

SIZES = tuple(int(size) for size in os.environ.get("SCALE", "1000,5000").split(","))
AIM = {"peak MiB": 256, "restart s": 120, "CPU %": 5}
_SPACES = 50
_REST = 60.0  # seconds over which the steady state is measured
_PATIENCE = 3600.0


def measure() -> dict[str, list[dict[str, Any]]]:
    """For each size: everything created at once, then a new operator over what is there, then nothing to do."""
    return {f"gateways created at once, aims {AIM}": [_size(size) for size in SIZES]}


def _size(size: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as scratch, operators.control_plane(Path(scratch) / "plane") as plane:
        folder = Path(scratch)
        kubeconfig = operators.kubeconfig_for(plane.kubectl, folder)
        plane.processes.stop("controller-manager")  # its pods would be measured with us
        _create(plane.kubectl, size, folder)
        return {"gateways": size, **_first(kubeconfig, folder, size), **_second(kubeconfig, folder, size)}


def _create(kubectl: Kubectl, size: int, folder: Path) -> None:
    _say(f"{size} gateways: creating them")
    names = [f"space-{number}" for number in range(min(_SPACES, size))]
    kubectl.apply(*[{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in names])
    items = []
    for number in range(size):
        item = gateway(f"gateway-{number}")
        item["metadata"]["namespace"] = names[number % len(names)]
        items.append(item)
    for start in range(0, size, 500):
        file = folder / "some.json"
        file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items[start : start + 500]}))
        kubectl("create", "-f", str(file), timeout=600)


def _first(kubeconfig: Path, folder: Path, size: int) -> dict[str, Any]:
    began = time.monotonic()
    with operators.operator(kubeconfig, folder) as log:
        _await_rest(log, size, began)
        return {"create s": time.monotonic() - began, "writes": _writes(log), "peak MiB": _peak(log)}


def _second(kubeconfig: Path, folder: Path, size: int) -> dict[str, Any]:
    began = time.monotonic()
    with operators.operator(kubeconfig, folder) as log:
        _await_rest(log, size, began)
        took, writes = time.monotonic() - began, _writes(log)
        before = operators.metrics(log)
        time.sleep(_REST)
        after = operators.metrics(log)
        cpu = (after["process_cpu_seconds_total"] - before["process_cpu_seconds_total"]) / _REST
        return {"restart s": took, "its writes": writes, "its peak MiB": _peak(log), "CPU %": 100 * cpu}


def _await_rest(log: Path, size: int, began: float) -> None:
    def rests() -> bool:
        measured = operators.metrics(log)
        passes = measured['mcpgateway_operator_reconciles_total{result="success"}']
        _say(f"{size} gateways: {passes:.0f} passes, {measured['mcpgateway_operator_queue_depth']:.0f} wait", began)
        return (
            measured['mcpgateway_operator_gateways{ready="False"}'] == size and measured["mcpgateway_operator_queue_depth"] == 0
        )

    eventually("the operator to have nothing to do", rests, timeout=_PATIENCE, every=2)


def _writes(log: Path) -> int:
    """But for the signing keys, whose creation is how a new operator learns that there are some."""
    series = "mcpgateway_operator_api_requests_total{"
    measured = {name: value for name, value in operators.metrics(log).items() if name.startswith(series)}
    reads = ('method="GET"', 'resource="secrets"', 'resource="leases"')
    return round(sum(value for name, value in measured.items() if not any(read in name for read in reads)))


def _peak(log: Path) -> float:
    text = Path(f"/proc/{operators.pid(log)}/status").read_text()
    return int(next(line for line in text.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


def _say(text: str, began: float | None = None) -> None:
    after = f" after {time.monotonic() - began:.0f} s" if began is not None else ""
    print(f"[scale] {text}{after}", file=sys.stderr, flush=True)
