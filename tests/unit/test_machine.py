"""What the end of the test cluster removes outside of its own folder: its own, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support import machine


def _keep(results: Path, network: str, container: str, interface: str, namespace: str) -> Path:
    """A file as libcni writes it for each interface."""
    result = {"cniVersion": "0.4.0", "interfaces": [{"name": "veth1"}, {"name": interface, "sandbox": f"/run/netns/{namespace}"}]}
    path = results / f"{network}-{container}-{interface}"
    path.write_text(json.dumps({"kind": "cniCacheV1", "containerId": container, "networkName": network, "result": result}))
    return path


def test_only_pods_of_our_own_network_are_forgotten(tmp_path: Path) -> None:
    ours = [
        _keep(tmp_path, machine.NETWORK, "0a1b", "eth0", "cni-ours"),
        _keep(tmp_path, "cni-loopback", "0a1b", "lo", "cni-ours"),
    ]
    others = [
        _keep(tmp_path, "podman", "2c3d", "eth0", "cni-theirs"),
        _keep(tmp_path, "cni-loopback", "2c3d", "lo", "cni-theirs"),
    ]
    assert list(machine.forget_pods(tmp_path)) == ["cni-ours"]
    assert not any(path.exists() for path in ours)
    assert all(path.exists() for path in others)
    assert list(machine.forget_pods(tmp_path / "absent")) == []


def test_cgroups_that_hold_something_stay(tmp_path: Path) -> None:
    """Only empty folders can be removed, as in a cgroup hierarchy those without processes."""
    (tmp_path / "kubepods" / "besteffort" / "pod1").mkdir(parents=True)
    (tmp_path / "kubepods" / "burstable" / "pod2").mkdir(parents=True)
    used = tmp_path / "kubepods" / "burstable" / "pod2" / "process"
    used.write_text("1")
    machine.remove_cgroups(tmp_path / "kubepods")
    assert used.exists()
    assert not (tmp_path / "kubepods" / "besteffort").exists()


def test_nothing_is_undone_without_a_record(tmp_path: Path) -> None:
    machine.Machine(tmp_path).restore()
    assert list(tmp_path.iterdir()) == []
