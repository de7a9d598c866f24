"""What a node changes on the machine outside of its own folder, and how its end undoes just that.

Sources: libcni's cache of results; the kubelet's cgroups; kube-proxy's tables of nftables.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

NETWORK = "mcpgateway-test"  # of CNI; other users of CNI on this machine have other names
_RESULTS = Path("/var/lib/cni/results")
_CGROUPS = Path("/sys/fs/cgroup")
_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
_TABLES = "table ip kube-proxy", "table ip6 kube-proxy"


class Machine:
    """The machine around a node's folder. Without a record of its state before, nothing is undone."""

    def __init__(self, folder: Path) -> None:
        self._record = folder / "machine.json"

    def remember(self) -> None:
        """Note the state before the node's first start."""
        if not self._record.exists():
            cgroups = [str(place) for place in _pod_cgroups(_CGROUPS)]
            self._record.write_text(json.dumps({"forward": _FORWARD.read_text(), "cgroups": cgroups, "tables": _tables()}))

    def forward(self) -> None:
        """Let packets pass between pods and the rest of the network."""
        _FORWARD.write_text("1\n")

    def restore(self) -> None:
        """Remove what has come since then by the node, and set back what it has changed."""
        if not self._record.exists():
            return
        before = json.loads(self._record.read_text())
        for namespace in forget_pods(_RESULTS):
            subprocess.run(["ip", "netns", "del", namespace], check=False, capture_output=True)
        for place in _pod_cgroups(_CGROUPS):
            if str(place) not in before["cgroups"]:
                remove_cgroups(place)
        for table in set(_tables()) - set(before["tables"]):
            subprocess.run(["nft", "delete", *table.split()], check=False, capture_output=True)
        _FORWARD.write_text(before["forward"])


def forget_pods(results: Path) -> Iterator[str]:
    """Remove what libcni keeps of pods of our network. Yields: the names of their network namespaces."""
    for result in list(results.glob(f"{NETWORK}-*")):
        kept = json.loads(result.read_text())
        for other in results.glob(f"*-{kept['containerId']}-*"):  # of the loopback interface, too
            other.unlink()
        for interface in kept["result"].get("interfaces", ()):
            if interface.get("sandbox"):
                yield Path(interface["sandbox"]).name


def remove_cgroups(place: Path) -> None:
    """Remove a cgroup and those in it, but for those that have processes."""
    for inner in sorted((path for path in place.rglob("*") if path.is_dir()), reverse=True):
        with contextlib.suppress(OSError):
            inner.rmdir()
    with contextlib.suppress(OSError):
        place.rmdir()


def _pod_cgroups(root: Path) -> list[Path]:
    """The kubelet's cgroups: one, or one for each controller of the old hierarchies."""
    return [*root.glob("kubepods"), *root.glob("*/kubepods")]


def _tables() -> list[str]:
    """kube-proxy's tables that are there."""
    listed = subprocess.run(["nft", "list", "tables"], check=False, capture_output=True, text=True).stdout.splitlines()
    return [table for table in _TABLES if table in listed]
