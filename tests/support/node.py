"""Level `e2e`: one node beside the control plane: scheduler, containerd, kubelet, kube-proxy, CoreDNS. Root on Linux, no Docker.

Every flag is there for a reason; the ones that are not obvious say theirs.
"""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

from . import oci, policing, tools
from .controlplane import Addresses, ControlPlane
from .machine import NETWORK, Machine
from .processes import wait_for
from .progress import Step

BRIDGE = "mcpgw0"
NODE = "node1"
PODS = "198.18.0.0/24"
GATEWAY = "198.18.0.1"
_RUNTIME = ("envoy", "contour", "metrics-server", "kubelet", "kube-proxy", "coredns", "scheduler")


class Node:
    """A whole one-node cluster in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.plane = ControlPlane(folder, Addresses(etcd=2379, api=6443, bind="0.0.0.0", advertise=GATEWAY))
        self.processes = self.plane.processes
        self.socket = folder / "containerd.sock"
        self._machine = Machine(folder)

    def start(self) -> None:
        """Start everything and wait until the node is ready."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._machine.remember()
        self._network()
        with Step("starting etcd, kube-apiserver and kube-controller-manager"):
            self.plane.start()
        with Step("starting containerd"):
            self._start_containerd()
        with Step("starting kube-scheduler, kubelet, kube-proxy and CoreDNS, until the node is ready"):
            self._start_agents()
            wait_for("the node to be ready", self.ready, self.processes, timeout=120)

    def _start_agents(self) -> None:
        kubeconfig = f"--kubeconfig={self.plane.kubeconfig}"
        self._start("kube-scheduler", "scheduler", kubeconfig, "--leader-elect=false", "--secure-port=0")
        self._write_kubelet()
        self._start(
            "kubelet",
            "kubelet",
            kubeconfig,
            f"--config={self.folder}/kubelet.yaml",
            f"--root-dir={self.folder}/kubelet",
            f"--cert-dir={self.folder}/kubelet/pki",
            f"--hostname-override={NODE}",
            f"--node-ip={GATEWAY}",
        )
        self._start(
            "kube-proxy",
            "kube-proxy",
            kubeconfig,
            "--proxy-mode=nftables",
            f"--hostname-override={NODE}",
            "--conntrack-max-per-core=0",
        )
        self._start_coredns()

    def ready(self) -> bool:
        """Whether pods can be scheduled."""
        return " Ready" in self.plane.kubectl("get", "node", NODE, check=False)

    def load(self, image: Path) -> None:
        """Import an image archive into the node."""
        self._ctr("images", "import", str(image))

    def tag(self, image: str, further: str) -> None:
        """Give an image of the node a further name."""
        self._ctr("images", "tag", "--force", image, further)

    def stop(self) -> None:
        """Stop only what was started here, by its pid; then its containers, mounts, bridge and tables."""
        for name in _RUNTIME:
            self.processes.stop(name, patience=5.0)
        if self.socket.exists():
            self._kill_containers()
        self.processes.stop("containerd")
        self._unmount()
        self._machine.restore()
        subprocess.run(["ip", "link", "del", BRIDGE], check=False, capture_output=True)
        policing.forget()
        self.plane.stop()

    def _start(self, binary: str, name: str, *flags: str) -> None:
        self.processes.start(name, [str(tools.component(binary)), *flags])

    def _network(self) -> None:
        subprocess.run(["ip", "link", "add", BRIDGE, "type", "bridge"], check=False, capture_output=True)
        subprocess.run(["ip", "addr", "replace", f"{GATEWAY}/24", "dev", BRIDGE], check=True)
        subprocess.run(["ip", "link", "set", BRIDGE, "up"], check=True)
        self._machine.forward()
        network = {
            "cniVersion": "0.4.0",
            "name": NETWORK,
            "plugins": [
                {
                    "type": "bridge",
                    "bridge": BRIDGE,
                    "isGateway": True,
                    "ipMasq": False,
                    "hairpinMode": True,
                    "ipam": {
                        "type": "host-local",
                        "dataDir": f"{self.folder}/ipam",
                        "ranges": [[{"subnet": PODS}]],
                        "routes": [{"dst": "0.0.0.0/0"}],
                    },
                },
            ],
        }
        (self.folder / "cni").mkdir(exist_ok=True)
        (self.folder / "cni" / "10-bridge.conflist").write_text(json.dumps(network))

    def _start_containerd(self) -> None:
        # restrict_oom_score_adj: without CAP_SYS_RESOURCE runc cannot lower the score, and dies with a misleading error
        (self.folder / "containerd.toml").write_text(f"""version = 2
root = "{self.folder}/containerd"
state = "{self.folder}/containerd-state"
[grpc]
address = "{self.socket}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "localhost/pause:1"
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{self.folder}/cni"
""")
        self.processes.start("containerd", ["containerd", "--config", f"{self.folder}/containerd.toml"])
        wait_for("containerd", lambda: self._ctr("version", check=False) == 0, self.processes)
        pause = self.folder / "pause"
        pause.mkdir(exist_ok=True)
        flags = ["-trimpath", "-buildvcs=false", "-ldflags", "-s -w"]
        tools.run_go(["build", *flags, "-o", str(pause / "pause"), "."], Path(__file__).parent / "pause")
        oci.archive("localhost/pause:1", pause, self.folder / "pause.tar", {"Entrypoint": ["/pause"]})
        self.load(self.folder / "pause.tar")

    def _write_kubelet(self) -> None:
        # makeIPTablesUtilChains: kube-proxy uses nftables here, and these chains would stay behind.
        # syncFrequency: a minute by default, after which a pod sees a Secret or ConfigMap that was missing or has changed.
        # failCgroupV1: some kernels still mount the old hierarchies. evictionHard: a full disk elsewhere must not evict us.
        (self.folder / "kubelet.yaml").write_text(f"""apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
cgroupDriver: cgroupfs
failSwapOn: false
makeIPTablesUtilChains: false
authentication: {{anonymous: {{enabled: true}}, webhook: {{enabled: false}}}}
authorization: {{mode: AlwaysAllow}}
clusterDNS: [{GATEWAY}]
clusterDomain: cluster.local
syncFrequency: 5s
containerRuntimeEndpoint: unix://{self.socket}
imageGCHighThresholdPercent: 100
serializeImagePulls: false
evictionHard: {{nodefs.available: "0%", imagefs.available: "0%", memory.available: "50Mi"}}
resolvConf: ""
""")

    def _start_coredns(self) -> None:
        (self.folder / "Corefile").write_text(
            f".:53 {{\n bind {GATEWAY}\n errors\n kubernetes cluster.local in-addr.arpa {{\n"
            f"  kubeconfig {self.plane.kubeconfig} test\n  pods insecure\n }}\n cache 2\n}}\n"
        )
        self.processes.start("coredns", [str(tools.module("coredns")), "-conf", f"{self.folder}/Corefile"])

    def _ctr(self, *args: str, check: bool = True) -> int:
        command = ["ctr", "-a", str(self.socket), "-n", "k8s.io", *args]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if check and done.returncode != 0:
            raise RuntimeError(f"ctr {' '.join(args)}: {done.stderr.strip()}")
        return done.returncode

    def _tasks(self) -> list[str]:
        command = ["ctr", "-a", str(self.socket), "-n", "k8s.io", "tasks", "ls", "-q"]
        return subprocess.run(command, check=False, capture_output=True, text=True).stdout.split()

    def _kill_containers(self) -> None:
        deadline = time.monotonic() + 20
        while (tasks := self._tasks()) and time.monotonic() < deadline:
            for task in tasks:
                self._ctr("tasks", "kill", "-s", "KILL", task, check=False)
                self._ctr("tasks", "rm", "-f", task, check=False)

    def _unmount(self) -> None:
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for mount in sorted((m for m in mounts if m.startswith(str(self.folder))), reverse=True):
            subprocess.run(["umount", "-l", mount], check=False, capture_output=True)
